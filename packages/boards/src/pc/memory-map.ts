/** Guest-physical addresses and ports of the `pc` machine, which are those of PCs; where there is a choice, of QEMU's. */
export const pcMap = {
  /** RAM up to here, the video memory behind it, then what firmware and option ROMs are copied to, then RAM again. */
  lowRamEnd: 0xa_0000,
  shadow: 0xc_0000,
  extended: 0x10_0000,
  /** RAM ends here at most, and goes on at 4 GiB. */
  lowEnd: 0xb000_0000,
  highRam: 0x1_0000_0000,
  /** PCI: configuration space of 256 buses, memory below 4 GiB, memory above. */
  pciEcam: 0xb000_0000,
  pciMemory: 0xc000_0000,
  pciMemorySize: 0x3ec0_0000,
  pciMemory64: 0x8_0000_0000,
  pciMemory64Size: 0x4_0000_0000,
  /** Ports that firmware gives to PCI. */
  pciPorts: 0xc000,
  pciPortsSize: 0x4000,
  ioApic: 0xfec0_0000,
  /** Devices that a definition gives no address. */
  window: 0xfed0_0000,
  windowSize: 0x8_0000,
  localApic: 0xfee0_0000,
  /** Firmware ends at 4 GiB. */
  firmwareEnd: 0x1_0000_0000,
} as const

/** Interrupts of ISA, which are inputs of both controllers; the timer's is input 2 of the I/O APIC. */
export const pcIrq = { timer: 0, timerInput: 2, keyboard: 1, uart0: 4, rtc: 8, pm: 9, mouse: 12, ide: 14 } as const
