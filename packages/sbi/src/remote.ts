import { SbiError, SbiExtension } from './numbers.ts'
import { FirmwareEvent } from './pmu.ts'
import type { SbiHart } from './sbi.ts'

/** What one hart asks to be done on others. */
interface Request {
  /** What counters of the asking hart and of the asked ones count. */
  readonly sent: number
  readonly received: number
  readonly act: (target: SbiHart) => void
}

/** More is dropped than was asked for. */
const flush = (target: SbiHart): void => { target.requestFlush() }
const sendIpi: Request = { sent: FirmwareEvent.ipiSent, received: FirmwareEvent.ipiReceived, act: (target) => { target.raiseSoftwareInterrupt() } }
const fenceI: Request = { sent: FirmwareEvent.fenceISent, received: FirmwareEvent.fenceIReceived, act: (target) => { target.fenceInstructions?.() } }
const sfenceVma: Request = { sent: FirmwareEvent.sfenceVmaSent, received: FirmwareEvent.sfenceVmaReceived, act: flush }
const sfenceVmaAsid: Request = { sent: FirmwareEvent.sfenceVmaAsidSent, received: FirmwareEvent.sfenceVmaAsidReceived, act: flush }

function ask(hart: SbiHart, targets: readonly SbiHart[], { sent, received, act }: Request): bigint {
  hart.pmu?.count(sent)
  for (const target of targets) {
    target.pmu?.count(received)
    act(target)
  }
  return SbiError.success
}

/** The harts of a mask that starts at hart `base`, all for a base of −1 (3.1); null when one does not exist. */
function chosen(harts: readonly SbiHart[], mask: bigint, base: bigint): readonly SbiHart[] | null {
  if (BigInt.asIntN(64, base) === -1n) return harts
  const list: SbiHart[] = []
  for (let bit = 0n; bit < 64n; bit++) {
    if (((mask >> bit) & 1n) === 0n) continue
    const hart = harts[Number(base + bit)]
    if (!hart) return null
    list.push(hart)
  }
  return list
}

/** `set_timer` (6.1; legacy, 5.1). */
export function setTimer(hart: SbiHart): bigint {
  hart.pmu?.count(FirmwareEvent.setTimer)
  hart.setTimer(hart.getX(10))
  return SbiError.success
}

function forMask(hart: SbiHart, harts: readonly SbiHart[], request: Request | undefined): bigint {
  if (request === undefined) return SbiError.notSupported
  const targets = chosen(harts, hart.getX(10), hart.getX(11))
  return targets === null ? SbiError.invalidParam : ask(hart, targets, request)
}

/** The IPI extension (chapter 7). */
export function ipi(hart: SbiHart, harts: readonly SbiHart[], id: number): bigint {
  return forMask(hart, harts, id === 0 ? sendIpi : undefined)
}

/** The RFENCE extension (chapter 8), less what is for hypervisors. */
export function rfence(hart: SbiHart, harts: readonly SbiHart[], id: number): bigint {
  return forMask(hart, harts, [fenceI, sfenceVma, sfenceVmaAsid][id])
}

const legacyRequests: Readonly<Record<number, Request>> = {
  [SbiExtension.legacySendIpi]: sendIpi,
  [SbiExtension.legacyRemoteFenceI]: fenceI,
  [SbiExtension.legacyRemoteSfenceVma]: sfenceVma,
  [SbiExtension.legacyRemoteSfenceVmaAsid]: sfenceVmaAsid,
}

/**
 * The calls of version 0.1 about timers and other harts (5.1, 5.4 to 5.8): what goes into a0. They take the harts from a word at a virtual address; as
 * with OpenSBI, none means all harts, and bits of harts that do not exist nothing.
 */
export function legacyCall(hart: SbiHart, harts: readonly SbiHart[], number: number): bigint {
  if (number === SbiExtension.legacySetTimer) return setTimer(hart)
  if (number === SbiExtension.legacyClearIpi) return hart.clearSoftwareInterrupt() ? 1n : 0n
  const request = legacyRequests[number]
  if (request === undefined) return SbiError.notSupported
  const pointer = hart.getX(10)
  const mask = pointer === 0n ? -1n : hart.readVirtual(pointer)
  if (mask === null) return SbiError.invalidAddress
  return ask(hart, harts.filter(({ index }) => ((mask >> BigInt(index)) & 1n) !== 0n), request)
}
