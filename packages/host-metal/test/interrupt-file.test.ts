import { expect, test } from 'vitest'
import { vcpuRecord } from '@machinist/host-metal'
import { VcpuRegisters } from '../src/vcpu/registers.ts'
import { checkFile, restoreFile, type SavedFile, saveFile } from '../src/vcpu/saved-file.ts'
import { restoreVcpu, saveVcpu } from '../src/vcpu/saved-vcpu.ts'
import { asm } from './assembler.ts'
import { hostileMachine } from './hostile/machine.ts'
import { FILES, TEST, UART } from './hostile/program.ts'
import { metal, OFF } from './metal-machine.ts'

const { addi, csrr, csrs, csrw, li, slli, store, wfi } = asm
const off = [...li(5, TEST), ...li(6, OFF), store(2, 6, 5)]
const [SIE, SISELECT, SIREG, STOPEI, STOPI] = [0x104, 0x150, 0x151, 0x15c, 0xdb0]
const IDENTITIES = 127

const select = (register: number, value: readonly number[]): number[] => [...li(7, register), csrw(SISELECT, 7), ...value, csrw(SIREG, 7)]

test('a hart waits for the message that it sends itself, and for one of another hart or device, and claims them in order', () => {
  const on = metal()
  const image = new Uint8Array(Uint32Array.from([
    ...select(0x70, li(7, 1)), ...select(0xc0, [addi(7, 0, 1), slli(7, 7, 40)]), ...select(0xc2, [addi(7, 0, 1), slli(7, 7, 36)]), ...li(7, 512), csrs(SIE, 7),
    ...li(8, FILES), ...li(9, 100), store(2, 9, 8), ...li(9, 40), store(2, 9, 8), ...li(9, 41), store(2, 9, 8), wfi,
    csrr(12, STOPI), ((STOPEI << 20) | (1 << 12) | (13 << 7) | 0x73) >>> 0, ((STOPEI << 20) | (1 << 12) | (14 << 7) | 0x73) >>> 0, csrr(15, STOPI),
    ...asm.la(5, 0x8010_0000), store(3, 12, 5), store(3, 13, 5, 8), store(3, 14, 5, 16), store(3, 15, 5, 24), wfi, csrr(16, STOPEI), store(3, 16, 5, 32), ...off,
  ]).buffer)
  const machine = hostileMachine(on.cpu, on.host, image, 'waits', IDENTITIES)
  machine.start({ drive: 'caller' })
  for (let slice = 0; slice < 20; slice++) machine.runSlice(1000)
  const found = (): readonly number[] => {
    const bytes = new Uint8Array(40)
    machine.memory.read(0x8010_0000, bytes)
    return [...new BigUint64Array(bytes.buffer)].map(Number)
  }
  expect([found(), machine.state]).toEqual([[9 * 65536 + 1, 40 * 0x1_0001, 100 * 0x1_0001, 0, 0], 'running'])
  // What comes while it waits: the fake numbers its VM, and then the vCPU.
  const vcpu = 2
  on.native.message(vcpu, 41)
  machine.runSlice(1000)
  expect(machine.state).toBe('running')
  on.native.message(vcpu, 100)
  for (let slice = 0; slice < 20 && machine.state === 'running'; slice++) machine.runSlice(1000)
  expect([found()[4], machine.state]).toEqual([100 * 0x1_0001, 'off'])
})

test('a file is saved as the software core saves it, and what is no state is refused with nothing changed', () => {
  const registers = new VcpuRegisters(new ArrayBuffer(vcpuRecord.size))
  registers.setLow('identities', IDENTITIES)
  const file: SavedFile = { select: 0x1ff, delivery: 1, threshold: 127, pending: [0xffff_fffe, 1, 0x8000_0000, 0xffff_ffff], enabled: [2, 0, 0, 0x1234_5678] }
  const parked = { waiting: false, hsm: 0, resume: null }
  restoreFile(registers, file)
  const saved = saveVcpu(registers, parked, 0)
  expect(saved.file).toEqual(file)
  const other = new VcpuRegisters(new ArrayBuffer(vcpuRecord.size))
  other.setLow('identities', IDENTITIES)
  restoreVcpu(other, structuredClone(saved))
  expect(saveFile(other)).toEqual(file)
  // Identity 0 does not exist.
  restoreFile(other, { ...file, pending: [1, 0, 0, 0], enabled: [0xffff_ffff, 0, 0, 0] })
  expect(saveFile(other)).toMatchObject({ pending: [0, 0, 0, 0], enabled: [0xffff_fffe, 0, 0, 0] })
  const wrong: readonly unknown[] = [
    undefined, null, 7, [], { ...file, select: 0x200 }, { ...file, delivery: 2 }, { ...file, threshold: 128 }, { ...file, threshold: 0.5 }, { ...file, pending: [1] }, { ...file, enabled: [0, 0, 0, 2 ** 32] }, { ...file, enabled: [0, 0, 0, '1'] },
  ]
  for (const state of wrong) {
    expect(checkFile(state, IDENTITIES)).toBe(undefined)
    expect(() => restoreVcpu(registers, { ...saved, file: state as SavedFile })).toThrow(expect.objectContaining({ code: 'bad-state', value: 'file' }))
  }
  expect(saveFile(registers)).toEqual(file)
})

test('harts with interrupt files have inputs for messages alone, and are told of to the guest', () => {
  const on = metal()
  const machine = hostileMachine(on.cpu, on.host, new Uint8Array(Uint32Array.from([...li(10, UART), ...off]).buffer), 'told', IDENTITIES)
  machine.start()
  on.run(machine)
  expect(machine.state).toBe('off')
  expect([on.cpu.inputReference?.('hart1.simsic'), on.cpu.inputReference?.('hart1.none')]).toEqual([{ ref: 'hart1', cells: [9] }, null])
})
