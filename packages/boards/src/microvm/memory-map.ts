/** Guest-physical addresses, which are those of QEMU's `microvm` where it has such a thing; what ISA has is in ports, where PCs have it. */
export const microvmMap = {
  /** RAM is from 0 to here at most, and goes on at 4 GiB. */
  lowEnd: 0xc000_0000,
  highRam: 0x1_0000_0000,
  /** PCI: memory below 4 GiB, configuration space of 256 buses, memory above. */
  pciMemory: 0xc000_0000,
  pciMemorySize: 0x2000_0000,
  pciEcam: 0xe000_0000,
  pciMemory64: 0x8_0000_0000,
  pciMemory64Size: 0x4_0000_0000,
  /** Devices that a definition gives no address. */
  window: 0xf000_0000,
  windowSize: 0x800_0000,
  ioApic: 0xfec0_0000,
  /** The first of the virtio slots. */
  virtio: 0xfeb0_0000,
  virtioStride: 0x1000,
  localApic: 0xfee0_0000,
} as const

/** Inputs of the I/O APIC. Those of ISA are 1 to 15; that of the timer is 2, as in PCs. */
export const microvmIrq = {
  timer: 2,
  uart0: 4,
  rtc: 8,
  pm: 9,
  /** Of the PCI bus's first interrupt; the three others follow. */
  pci: 12,
  /** Of the first virtio slot; the others follow. */
  virtio: 16,
} as const

/** Places for virtio devices that are not on PCI. */
export const MICROVM_SLOTS = 8
