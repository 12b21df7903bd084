import type { DeviceSpec } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { socNode } from '../describe.ts'
import { GoldfishRtc, type GoldfishRtcState } from './device.ts'

/** Where the time comes from. */
export type RtcBackends = { readonly clock: 'wallClock' }

/** The Goldfish real-time clock: nanoseconds since 1970, which the guest may set, and an alarm. It has no configuration. */
export const goldfishRtc: DeviceSpec<Readonly<Record<never, never>>, GoldfishRtcState, 'alarm', RtcBackends> = {
  kind: 'goldfish-rtc',
  stateVersion: 1,
  backends: { clock: 'wallClock' },
  configure(input, name) {
    plainData(name, input, 'configuration').done()
    return {}
  },
  regions: () => [{ name: 'registers', size: 0x1000, space: 'mmio' }],
  irqs: () => ['alarm'],
  create: (_config, context) => new GoldfishRtc(context),
  describe(_config, at, out) {
    if (out.fdt !== undefined) socNode(out.fdt, 'rtc', at).set('compatible', 'google,goldfish-rtc')
  },
}
