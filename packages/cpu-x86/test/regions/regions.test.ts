import { describe, expect, test } from 'vitest'
import type { TestMachine } from '../../src/test-machine.ts'
import { encode, forms, operandSizes } from '../../src/isa/index.ts'
import { FlagKind } from '../../src/emit/flags.ts'
import { segmentLayout } from '../../src/emit/layout.ts'
import { Random } from '../host/random.ts'
import { at, type Program, randomProgram } from '../run/programs.ts'
import { differences, loadProgram } from './compare.ts'
import { flatMachine, RegionMachine } from './machine.ts'

const seed = Number(process.env.MACHINIST_SEED ?? 1)
const ROUNDS = 800
const runs = Number(process.env.MACHINIST_RUNS ?? 12)
const BASE = Number(at.base)
/** More than those that a region may do beyond its budget. */
const STEPS = 1200

function start(program: Program, mode: 32 | 64): TestMachine {
  const machine = flatMachine(mode, BASE)
  loadProgram(machine, program, ROUNDS)
  return machine
}

describe('regions', () => {
  for (const mode of [64, 32] as const) {
    test(`have the state of single steps after as many of them, in ${mode}-bit code`, () => {
      let [all, inRegions] = [0, 0]
      for (let i = 0; i < runs; i++) {
        const random = new Random(seed + 1000 * i)
        const program = randomProgram(random, { mode, length: 5 + random.below(60), rounds: ROUNDS, changes: false, general: i % 2 === 0 })
        const [fast, slow] = [start(program, mode), start(program, mode)]
        const regions = new RegionMachine(fast, mode)
        const cold = i % 3 === 2 ? random.below(program.code.length) : -1
        regions.translate(BASE, [0, random.below(program.code.length)], (offset) => offset !== cold)
        for (let slice = 0; slice < 4; slice++) {
          const steps = 1 + random.below(12_000)
          regions.run(steps)
          slow.hart.run(Math.min(steps, 4096), true)
          for (let left = steps - 4096; left > 0; left -= 4096) slow.hart.run(Math.min(left, 4096), true)
          expect([i, slice, ...differences(fast, slow)]).toEqual([i, slice])
        }
        inRegions += regions.steps
        all += slow.hart.steps
      }
      expect(inRegions / all).toBeGreaterThan(0.2)
    })
  }

  test('call nothing that the core has not', () => {
    for (const mode of [64, 32] as const) {
      const machine = flatMachine(mode, BASE)
      const regions = new RegionMachine(machine, mode)
      const page = new Uint8Array(4096).fill(0xc3)
      let [place, roots] = [0, [0]]
      for (const form of forms.filter(({ modes, vex }) => modes.includes(mode) && vex === null)) {
        for (const operandSize of operandSizes(form, mode)) {
          for (const rm of [2, { base: 3, displacement: 64 }]) {
            const immediates = form.operands.filter(({ kind }) => kind === 'imm' || kind === 'rel').map(() => 1n)
            let code: Uint8Array
            try {
              code = encode(form, { mode, operandSize, immediates, rm, ...form.digit === null ? { reg: 1 } : {} })
            } catch {
              // It has no such operand.
              continue
            }
            if (place + code.length > 4096) {
              machine.memory.write(BASE, page)
              regions.translate(BASE, roots)
              page.fill(0xc3)
              ;[place, roots] = [0, [0]]
            }
            page.set(code, place)
            place += code.length
            if (roots.length < place / 500) roots.push(place)
          }
        }
      }
      machine.memory.write(BASE, page)
      regions.translate(BASE, roots)
      machine.cpu.dispose?.()
    }
  })

  test('leave flags alone that they read and do not write', () => {
    // jne away; call behind; back: mov eax, 1; lea ecx, [rcx-1]; jmp away; behind: jc away; ret; away: nops
    const code = Buffer.from('7512 e80a000000 b801000000 8d49ff eb03 7201 c3'.replaceAll(' ', ''), 'hex')
    for (const entry of [0, 7]) {
      const machines = [0, 1].map(() => {
        const machine = flatMachine(64, BASE + 0x200)
        const page = new Uint8Array(4096).fill(0x90)
        page.set(code)
        // A jump there: what a processor does first is a step.
        page.set([0xe9, ...new Uint8Array(Int32Array.of(entry - 0x205).buffer)], 0x200)
        machine.memory.write(BASE, page)
        machine.hart.record.set64('registers', BigInt(BASE + 0x8000), 4)
        machine.hart.record.set('flagKind', FlagKind.plain)
        // CF, PF, AF, SF and OF.
        machine.hart.record.set64('flagResult', 0x895n)
        return machine
      })
      const [fast, slow] = machines as [TestMachine, TestMachine]
      const regions = new RegionMachine(fast, 64)
      regions.translate(BASE, [0, 7], (offset) => offset < code.length)
      regions.run(STEPS)
      slow.hart.run(STEPS, true)
      expect(differences(fast, slow)).toEqual([])
      expect(regions.steps).toBeGreaterThan(0)
      fast.cpu.dispose?.()
      slow.cpu.dispose?.()
    }
  })

  for (const mode of [64, 32] as const) {
    test(`reach what FS and GS have, in ${mode}-bit code`, () => {
      // mov eax, fs:[edx+0x10]; add gs:[edx+0x20], eax; dec ecx; jne back
      const code = Buffer.from('67648b4210 6765014220 ffc9 75f2'.replaceAll(' ', '').replaceAll('67', mode === 64 ? '67' : ''), 'hex')
      if (mode === 32) code[code.length - 1] = 0xf4
      for (const { fs = 0x40_2000n, gs = 0x40_2100n, high = 0xffff_ffff, rights = 3, inside } of [
        { inside: true }, { fs: 0xffff_ffff_fff0_2000n, gs: 0xffff_ffff_fff0_2100n, inside: true }, { gs: 0x40_1ff0n, inside: true }, { high: 0x1000, inside: mode === 64 }, { rights: 1, inside: mode === 64 },
      ]) {
        const machines = [0, 1].map(() => {
          const machine = flatMachine(mode, BASE)
          const { memory, hart: { record } } = machine
          memory.write(BASE, code)
          memory.write(BASE + at.data, Uint8Array.from({ length: 1024 }, (_, i) => i * 7))
          record.set64('registers', 5000n, 1)
          record.set64('registers', fs > 2n ** 32n ? 0x50_0000n : 8n, 2)
          for (const [number, base] of [[4, fs], [5, gs]] as const) {
            const segment = record.state.segment(number)
            record.data.setBigUint64(segment + segmentLayout.base, mode === 64 ? base : base & 0xffff_ffffn, true)
            record.data.setUint32(segment + segmentLayout.high, high, true)
            record.data.setUint32(segment + segmentLayout.rights, record.data.getUint32(segment + segmentLayout.rights, true) & ~3 | rights, true)
          }
          return machine
        })
        const [fast, slow] = machines as [TestMachine, TestMachine]
        const regions = new RegionMachine(fast, mode)
        regions.translate(BASE, [0])
        regions.run(4000)
        slow.hart.run(4000, true)
        expect(differences(fast, slow)).toEqual([])
        expect(regions.steps > 1000).toBe(inside)
      }
    })
  }
})
