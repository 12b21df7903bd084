/** Numbers of the CSRs that the harness and the sequences name (privileged specification 20240411, tables 3 to 8). */
export const Csr = {
  fflags: 0x001, frm: 0x002, fcsr: 0x003, cycle: 0xc00, time: 0xc01, instret: 0xc02,
  sstatus: 0x100, sie: 0x104, stvec: 0x105, scounteren: 0x106, senvcfg: 0x10a, sscratch: 0x140, sepc: 0x141, scause: 0x142, stval: 0x143,
  sip: 0x144, stimecmp: 0x14d, satp: 0x180,
  mvendorid: 0xf11, marchid: 0xf12, mimpid: 0xf13, mhartid: 0xf14, mconfigptr: 0xf15,
  mstatus: 0x300, misa: 0x301, medeleg: 0x302, mideleg: 0x303, mie: 0x304, mtvec: 0x305, mcounteren: 0x306, menvcfg: 0x30a,
  mscratch: 0x340, mepc: 0x341, mcause: 0x342, mtval: 0x343, mip: 0x344, mcycle: 0xb00, minstret: 0xb02,
  pmpcfg0: 0x3a0, pmpaddr0: 0x3b0, pmpaddr1: 0x3b1, pmpaddr2: 0x3b2, pmpaddr3: 0x3b3, pmpaddr4: 0x3b4, pmpaddr5: 0x3b5, pmpaddr6: 0x3b6, pmpaddr7: 0x3b7,
} as const

/** Bits of mstatus. */
export const Status = {
  sie: 0x2, mie: 0x8, spie: 0x20, mpie: 0x80, spp: 0x100, mpp: 0x1800, fs: 0x6000,
  mprv: 0x2_0000, sum: 0x4_0000, mxr: 0x8_0000, tvm: 0x10_0000, tw: 0x20_0000, tsr: 0x40_0000,
} as const

/** Bits of a page-table entry. */
export const Pte = { v: 1, r: 2, w: 4, x: 8, u: 16, g: 32, a: 64, d: 128 } as const
