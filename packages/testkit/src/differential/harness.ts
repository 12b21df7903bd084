import { Csr } from './csr.ts'
import { Assembler } from './assembler.ts'
import {
  CASES, CASE_SIZE, CODE_SIZE, EDGE, finalCsrs, HARNESS, inCase, initialCsrs, inRecord, inSave, MAX_TRAPS, PTE_SLOTS, pteAddress, RAM_BASE, RECORDS,
  RECORD_SIZE, SAVE_AREA, SCRATCH, SCRATCH_PAGES, SUPERVISOR_ECALL,
} from './memory-map.ts'

/** The device that ends a run: SiFive's test finisher, as in QEMU's virt machine. */
export const FINISHER = 0x10_0000
export const FINISHER_PASS = 0x5555
/** Comparison register of the ACLINT MTIMER of QEMU's virt machine. */
export const MTIMECMP = 0x200_4000

/** pmpcfg0 of cases that protect nothing: the last entry alone is on, and allows all. */
export const OPEN_PMPCFG: bigint = 0x1f00_0000_0000_0000n

/** Causes whose epc says nothing about where to go on. */
const fetchCauses = [0, 1, 12]

/** Registers of the harness, once those of the sequence are saved. */
const base = 10, cause = 11, epc = 12, tval = 13, status = 14, current = 15, record = 16, traps = 17, entry = 18, supervisor = 19, t = 20, u = 21

/**
 * The M-mode program that runs every case of an image: sets its state, enters it, logs its traps, skips the
 * instruction that trapped (or gives up after {@link MAX_TRAPS}), and writes the record when the case reaches its end.
 *
 * The trap handler must read and clear mstatus before it can touch memory, because MPRV may be on: that takes one
 * register. `spare` is the one; sequences may use it, but a trap changes it (to the same value on both sides).
 * `swapped` is the register that passes through mscratch.
 */
export function harness(spare: number, swapped: number): readonly number[] {
  const a = new Assembler(HARNESS)
  const load = (rd: number, rs1: number, imm: number): void => a.op('ld', { rd, rs1, imm })
  const store = (rs2: number, rs1: number, imm: number): void => a.op('sd', { rs2, rs1, imm })
  const readCsr = (rd: number, csr: number): void => a.op('csrrs', { rd, imm: csr, rs1: 0 })
  const writeCsr = (csr: number, rs1: number): void => a.op('csrrw', { rd: 0, imm: csr, rs1 })

  // Of a breakpoint the value is its address or zero, as the implementation likes (3.1.16): here it is zero.
  const withoutValue = (csr: number, name: string): void => {
    a.op('addi', { rd: t, rs1: cause, imm: -3 })
    a.to(`${name} value`, 'bne', { rs1: t, rs2: 0 })
    a.op('addi', { rd: tval, rs1: 0, imm: 0 })
    writeCsr(csr, 0)
    a.label(`${name} value`)
    // Of an illegal instruction it is the instruction or zero. QEMU 7.2 gives zero for those of Svinval.
    a.op('addi', { rd: t, rs1: cause, imm: -2 })
    a.to(`${name} illegal`, 'bne', { rs1: t, rs2: 0 })
    for (const funct7 of [0x0b, 0x0c]) {
      a.li(t, 0xfe00_7fffn)
      a.op('and', { rd: t, rs1: t, rs2: tval })
      a.li(u, BigInt(funct7 * 2 ** 25 + 0x73))
      a.to(`${name} ${funct7}`, 'bne', { rs1: t, rs2: u })
      a.op('addi', { rd: tval, rs1: 0, imm: 0 })
      writeCsr(csr, 0)
      a.label(`${name} ${funct7}`)
    }
    a.label(`${name} illegal`)
  }

  a.li(base, BigInt(SAVE_AREA))
  writeCsr(Csr.mstatus, base)
  store(0, base, inSave.index)
  // mtvec is set once; the handler's address is known only after the rest, so go by a branch.
  a.to('setup')

  a.label('trap')
  const trapAddress = a.here
  a.op('csrrw', { rd: swapped, imm: Csr.mscratch, rs1: swapped })
  a.op('csrrw', { rd: spare, imm: Csr.mstatus, rs1: swapped })
  for (let i = 1; i < 32; i++) if (i !== swapped && i !== spare) store(i, swapped, inSave.x + 8 * i)
  store(spare, swapped, inSave.mstatus)
  a.op('addi', { rd: base, rs1: swapped, imm: 0 })
  readCsr(t, Csr.mscratch)
  store(t, base, inSave.x + 8 * swapped)
  writeCsr(Csr.mscratch, base)
  // First for S-mode, whose handler may not have come so far as to tell.
  readCsr(cause, Csr.scause)
  readCsr(tval, Csr.stval)
  withoutValue(Csr.stval, 'delegated')
  readCsr(cause, Csr.mcause)
  readCsr(epc, Csr.mepc)
  readCsr(tval, Csr.mtval)
  withoutValue(Csr.mtval, 'machine')
  load(status, base, inSave.mstatus)
  store(status, base, inSave.x + 8 * spare)
  load(current, base, inSave.case)
  load(record, base, inSave.record)
  load(traps, base, inSave.traps)
  a.op('slli', { rd: entry, rs1: traps, imm: 6 })
  a.op('add', { rd: entry, rs1: entry, rs2: record })
  const log = (reg: number, word: number): void => {
    // The log lies beyond the reach of an immediate.
    store(reg, entry, 8 * word)
  }
  a.li(t, BigInt(inRecord.log))
  a.op('add', { rd: entry, rs1: entry, rs2: t })
  log(cause, 0)
  log(epc, 1)
  log(tval, 2)
  log(status, 3)
  a.op('addi', { rd: traps, rs1: traps, imm: 1 })
  store(traps, base, inSave.traps)

  // From the S-mode handler? Then what it handles is what counts.
  a.op('addi', { rd: supervisor, rs1: 0, imm: 0 })
  load(t, current, inCase.csrs + 8 * initialCsrs.indexOf('stvec'))
  a.op('andi', { rd: t, rs1: t, imm: -4 })
  a.op('addi', { rd: t, rs1: t, imm: SUPERVISOR_ECALL })
  a.to('from machine', 'bne', { rs1: t, rs2: epc })
  a.op('addi', { rd: t, rs1: 0, imm: 9 })
  a.to('from machine', 'bne', { rs1: t, rs2: cause })
  a.op('addi', { rd: supervisor, rs1: 0, imm: 1 })
  readCsr(cause, Csr.scause)
  readCsr(epc, Csr.sepc)
  readCsr(tval, Csr.stval)
  withoutValue(Csr.stval, 'supervisor')
  readCsr(t, Csr.sstatus)
  log(cause, 4)
  log(epc, 5)
  log(tval, 6)
  log(t, 7)
  a.label('from machine')

  a.op('addi', { rd: t, rs1: 0, imm: MAX_TRAPS })
  a.to('finish', 'bgeu', { rs1: traps, rs2: t })
  a.to('interrupt', 'blt', { rs1: cause, rs2: 0 })
  for (const end of [inCase.endVa, inCase.endHighVa, inCase.endPa]) {
    load(t, current, end)
    a.to('finish', 'beq', { rs1: t, rs2: epc })
  }
  for (const fetch of fetchCauses) {
    a.op('addi', { rd: t, rs1: 0, imm: fetch })
    a.to('to the end', 'beq', { rs1: t, rs2: cause })
  }
  a.li(u, BigInt(CODE_SIZE))
  for (const start of [inCase.codeVa, inCase.codeHighVa, inCase.codePa]) {
    load(t, current, start)
    a.op('sub', { rd: t, rs1: epc, rs2: t })
    a.to('skip', 'bltu', { rs1: t, rs2: u })
  }
  a.label('to the end')
  load(epc, current, inCase.end)
  a.to('go on')

  a.label('skip')
  load(u, current, inCase.codePa)
  a.op('add', { rd: t, rs1: t, rs2: u })
  a.op('lhu', { rd: t, rs1: t, imm: 0 })
  a.op('andi', { rd: t, rs1: t, imm: 3 })
  a.op('sltiu', { rd: t, rs1: t, imm: 3 })
  a.op('xori', { rd: t, rs1: t, imm: 1 })
  a.op('slli', { rd: t, rs1: t, imm: 1 })
  a.op('addi', { rd: t, rs1: t, imm: 2 })
  a.op('add', { rd: epc, rs1: epc, rs2: t })
  a.to('go on')

  a.label('interrupt')
  a.op('addi', { rd: t, rs1: 0, imm: 1 })
  a.op('sll', { rd: t, rs1: t, rs2: cause })
  a.op('csrrc', { rd: 0, imm: Csr.mie, rs1: t })

  a.label('go on')
  a.to('machine return', 'beq', { rs1: supervisor, rs2: 0 })
  writeCsr(Csr.sepc, epc)
  readCsr(epc, Csr.mepc)
  a.op('addi', { rd: epc, rs1: epc, imm: 4 })
  a.label('machine return')
  writeCsr(Csr.mepc, epc)
  a.label('resume')
  a.op('addi', { rd: swapped, rs1: base, imm: 0 })
  for (let i = 1; i < 32; i++) if (i !== swapped) load(i, swapped, inSave.x + 8 * i)
  load(swapped, swapped, inSave.x + 8 * swapped)
  writeCsr(Csr.mstatus, spare)
  a.op('mret')

  a.label('finish')
  for (let i = 1; i < 32; i++) {
    load(t, base, inSave.x + 8 * i)
    store(t, record, inRecord.x + 8 * i)
  }
  for (let i = 0; i < 32; i++) a.op('fsd', { rs2: i, rs1: record, imm: inRecord.f + 8 * i })
  finalCsrs.forEach((name, i) => {
    readCsr(t, Csr[name])
    store(t, record, inRecord.csrs + 8 * i)
  })
  // An access that an entry matches in part fails in M-mode too (3.7.1.3), so protection ends before memory is read.
  a.li(t, OPEN_PMPCFG)
  readCsr(u, Csr.pmpcfg0)
  a.to('open', 'beq', { rs1: t, rs2: u })
  writeCsr(Csr.pmpcfg0, 0)
  a.op('sfence.vma')
  a.label('open')
  PTE_SLOTS.forEach(([level, index], i) => {
    a.li(u, BigInt(pteAddress(level, index)))
    load(t, u, 0)
    store(t, record, inRecord.ptes + 8 * i)
  })
  eachEdge((address, word, i) => {
    if (word === 0) a.li(u, BigInt(address))
    load(t, u, 8 * word)
    store(t, record, inRecord.edges + 8 * i)
  })
  store(traps, record, inRecord.traps)
  a.op('addi', { rd: t, rs1: 0, imm: 1 })
  store(t, record, inRecord.done)
  load(t, base, inSave.index)
  a.op('addi', { rd: t, rs1: t, imm: 1 })
  store(t, base, inSave.index)

  a.label('next')
  a.li(base, BigInt(SAVE_AREA))
  load(t, base, inSave.index)
  load(u, base, inSave.count)
  a.to('run', 'bltu', { rs1: t, rs2: u })
  a.li(t, BigInt(FINISHER))
  a.li(u, BigInt(FINISHER_PASS))
  a.op('sw', { rs2: u, rs1: t, imm: 0 })
  a.label('stop')
  a.to('stop')

  a.label('setup')
  // The machine timer would be due from the start.
  a.li(t, BigInt(MTIMECMP))
  a.li(u, -1n)
  a.op('sw', { rs2: u, rs1: t, imm: 4 })
  a.op('sw', { rs2: u, rs1: t, imm: 0 })
  a.li(t, BigInt(trapAddress))
  writeCsr(Csr.mtvec, t)
  writeCsr(Csr.mscratch, base)
  a.to('next')

  a.label('run')
  a.li(current, BigInt(CASES))
  a.li(record, BigInt(RECORDS))
  a.op('slli', { rd: u, rs1: t, imm: Math.log2(CASE_SIZE) })
  a.op('add', { rd: current, rs1: current, rs2: u })
  a.op('slli', { rd: u, rs1: t, imm: Math.log2(RECORD_SIZE) })
  a.op('add', { rd: record, rs1: record, rs2: u })
  store(current, base, inSave.case)
  store(record, base, inSave.record)
  store(0, base, inSave.traps)
  PTE_SLOTS.forEach(([level, index], i) => {
    a.li(u, BigInt(pteAddress(level, index)))
    load(t, current, inCase.ptes + 8 * i)
    store(t, u, 0)
  })
  eachEdge((address, word, i) => {
    if (word === 0) a.li(u, BigInt(address))
    load(t, current, inCase.edges + 8 * i)
    store(t, u, 8 * word)
  })
  // The timer's comparison must be out of the way before its switch changes.
  a.li(t, 1n << 63n)
  writeCsr(Csr.menvcfg, t)
  a.li(t, -1n)
  writeCsr(Csr.stimecmp, t)
  initialCsrs.forEach((name, i) => {
    if (name === 'mstatus') return
    load(t, current, inCase.csrs + 8 * i)
    // Writing what is there costs QEMU a flush of its TLB.
    const unchanged = name === 'satp' || name.startsWith('pmp') ? `same ${name}` : null
    if (unchanged) {
      readCsr(u, Csr[name])
      a.to(unchanged, 'beq', { rs1: t, rs2: u })
    }
    writeCsr(Csr[name], t)
    if (unchanged) a.label(unchanged)
  })
  a.op('sfence.vma')
  a.op('fence.i')
  for (let i = 0; i < 32; i++) a.op('fld', { rd: i, rs1: current, imm: inCase.f + 8 * i })
  a.op('addi', { rd: swapped, rs1: current, imm: 0 })
  for (let i = 1; i < 32; i++) if (i !== swapped && i !== spare) load(i, swapped, inCase.x + 8 * i)
  load(spare, swapped, inCase.csrs + 8 * initialCsrs.indexOf('mstatus'))
  load(swapped, swapped, inCase.x + 8 * swapped)
  writeCsr(Csr.mstatus, spare)
  a.op('mret')
  return a.finish()
}

/** Each 64-bit word of the compared ends of the scratch pages. */
export function eachEdge(visit: (address: number, word: number, index: number) => void): void {
  let index = 0
  for (let page = 0; page < SCRATCH_PAGES; page++) {
    for (const start of [0, 4096 - EDGE]) {
      for (let word = 0; word < EDGE / 8; word++) visit(SCRATCH + page * 4096 + start, word, index++)
    }
  }
}

/** What stands at the start of RAM: the first hart goes to the harness, others sleep. */
export function startOfRam(): readonly number[] {
  const a = new Assembler(RAM_BASE)
  a.op('csrrs', { rd: t, imm: Csr.mhartid })
  a.to('harness', 'beq', { rs1: t })
  a.label('sleep')
  a.op('wfi')
  a.to('sleep')
  a.label('harness')
  a.op('jal', { imm: HARNESS - a.here })
  return a.finish()
}

/** The S-mode trap handler: tells M-mode, which logs, and returns. Direct and vectored entries lead to the same place. */
export function supervisorHandler(address: number): readonly number[] {
  const a = new Assembler(address)
  for (let i = 0; i < SUPERVISOR_ECALL / 4; i++) a.to('handler')
  a.label('handler')
  a.op('ecall')
  a.op('sret')
  return a.finish()
}
