/** Guest-physical addresses, those of QEMU's `virt` machine for RISC-V (docs/system/riscv/virt.rst), so that firmware built for it runs. */
export const virtMap = {
  test: 0x10_0000,
  rtc: 0x10_1000,
  /** QEMU's machine has nothing here. */
  vmgenid: 0x10_2000,
  clint: 0x200_0000,
  plic: 0xc00_0000,
  /** With the Advanced Interrupt Architecture instead: the supervisor-level domain, and the harts' pages for messages to supervisor mode. */
  aplic: 0xd00_0000,
  imsic: 0x2800_0000,
  uart0: 0x1000_0000,
  /** The first of the virtio slots. */
  virtio: 0x1000_1000,
  virtioStride: 0x1000,
  /** Behind the slots. QEMU's machine has nothing here. */
  power: 0x1000_9000,
  /** PCI: I/O addresses, configuration space of 256 buses, memory below 4 GiB and above. */
  pciIo: 0x300_0000,
  pciEcam: 0x3000_0000,
  pciMemory: 0x4000_0000,
  pciMemorySize: 0x4000_0000,
  ram: 0x8000_0000,
  pciMemory64: 0x4_0000_0000,
  pciMemory64Size: 0x4_0000_0000,
} as const

/** Inputs of the PLIC, or sources of the APLIC. */
export const virtIrq = {
  /** Of the first virtio slot; the others follow. */
  virtio: 1,
  power: 9,
  uart0: 10,
  rtc: 11,
  vmgenid: 12,
  /** Of the PCI bus's first interrupt; the three others follow. */
  pci: 32,
} as const

/** Places for virtio devices that are not on PCI. */
export const VIRTIO_SLOTS = 8
