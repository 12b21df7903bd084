/** CSR numbers (privileged specification 20240411, tables 3 to 8). */
export const Csr = {
  fflags: 0x001,
  frm: 0x002,
  fcsr: 0x003,
  cycle: 0xc00,
  time: 0xc01,
  instret: 0xc02,
  sstatus: 0x100,
  sie: 0x104,
  stvec: 0x105,
  scounteren: 0x106,
  senvcfg: 0x10a,
  sscratch: 0x140,
  sepc: 0x141,
  scause: 0x142,
  stval: 0x143,
  sip: 0x144,
  stimecmp: 0x14d,
  /** Ssaia (AIA 1.0, table 2.2). */
  siselect: 0x150,
  sireg: 0x151,
  stopei: 0x15c,
  stopi: 0xdb0,
  satp: 0x180,
  mvendorid: 0xf11,
  marchid: 0xf12,
  mimpid: 0xf13,
  mhartid: 0xf14,
  mconfigptr: 0xf15,
  mstatus: 0x300,
  misa: 0x301,
  medeleg: 0x302,
  mideleg: 0x303,
  mie: 0x304,
  mtvec: 0x305,
  mcounteren: 0x306,
  menvcfg: 0x30a,
  mcountinhibit: 0x320,
  mscratch: 0x340,
  mepc: 0x341,
  mcause: 0x342,
  mtval: 0x343,
  mip: 0x344,
  /** Debug triggers (Sdtrig 1.0, 5.7). */
  tselect: 0x7a0,
  tdata1: 0x7a1,
  tdata2: 0x7a2,
  tdata3: 0x7a3,
  tinfo: 0x7a4,
  pmpcfg0: 0x3a0,
  pmpaddr0: 0x3b0,
  mcycle: 0xb00,
  minstret: 0xb02,
  hpmcounter3: 0xc03,
  mhpmcounter3: 0xb03,
  mhpmevent3: 0x323,
} as const

/** Names by number, for the disassembler. */
export const csrNames: ReadonlyMap<number, string> = (() => {
  const names = new Map<number, string>(Object.entries(Csr).map(([name, number]) => [number, name]))
  for (let i = 3; i < 32; i++) {
    names.set(0xc00 + i, `hpmcounter${i}`)
    names.set(0xb00 + i, `mhpmcounter${i}`)
    names.set(0x320 + i, `mhpmevent${i}`)
  }
  for (let i = 0; i < 16; i += 2) names.set(0x3a0 + i, `pmpcfg${i}`)
  for (let i = 0; i < 64; i++) names.set(0x3b0 + i, `pmpaddr${i}`)
  return names
})()
