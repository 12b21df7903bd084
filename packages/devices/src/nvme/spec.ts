import { type DeviceSpec, machinistError } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { type NvmeBackends, type NvmeConfig, NvmeController, type NvmeIrq, type NvmeState } from './device.ts'
import { MOST_QUEUES, REGISTERS } from './registers.ts'

/** Numbers of QEMU's controller, and its class: non-volatile memory, NVM Express. */
const [VENDOR, DEVICE, CLASS] = [0x1b36, 0x0010, 0x01_0802]
const SERIAL = 20
/** The BAR of the registers, and that of MSI-X. */
const [BAR, MSIX_BAR] = [0, 4]

/**
 * An NVM Express controller (NVM Express Base 1.4, with the NVM command set) on PCI, with a disk as its one namespace: up to 64 pairs of queues, MSI-X or a pin.
 */
export const nvme: DeviceSpec<NvmeConfig, NvmeState, NvmeIrq, NvmeBackends> = {
  kind: 'nvme',
  stateVersion: 1,
  redoesRequests: true,
  backends: { disk: 'block' },
  configure(input, name) {
    const data = plainData(name, input, 'configuration')
    const serial = data.string('serial', name.slice(0, SERIAL).replaceAll(/[^\x20-\x7e]/g, '-'))
    if (!/^[\x20-\x7e]{0,20}$/.test(serial)) throw machinistError({ code: 'config', part: `${name}.serial`, value: serial.slice(0, 80), remedy: `Give at most ${SERIAL} printable ASCII characters.` }, 'not an acceptable value')
    const config: NvmeConfig = { serial, blockSize: data.oneOf('blockSize', [512, 4096], 512), queues: data.integer('queues', 1, MOST_QUEUES, 8) }
    data.done()
    return config
  },
  regions: () => [{ name: 'registers', size: REGISTERS, space: 'mmio' }],
  irqs: () => ['intx'],
  pci: ({ queues }) => ({
    vendorId: VENDOR, deviceId: DEVICE, revision: 2, classCode: CLASS, subsystemVendorId: 0x1af4, subsystemId: 0x1100,
    bars: [{ index: BAR, type: 'memory64', region: 0 }], capabilities: [], msix: { vectors: queues + 1, bar: MSIX_BAR },
  }),
  create: (config, context) => new NvmeController(config, VENDOR, context),
}
