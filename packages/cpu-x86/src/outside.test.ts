import type { LocalController } from '@machinist/api'
import { expect, test } from 'vitest'
import { STATE_SIZE, x86Layout } from './emit/layout.ts'
import { models } from './model/models.ts'
import { outsideCalls } from './outside.ts'

const TSC_DEADLINE = 0x6e0

/** A local APIC that has its deadline alone. */
function withDeadline() {
  const view = new DataView(new ArrayBuffer(STATE_SIZE))
  const apic = { deadline: 0n }
  const local = {
    readMsr: (_hart: number, msr: number, into: Uint32Array) => {
      into.set([Number(apic.deadline & 0xffff_ffffn), Number(apic.deadline >> 32n)])
      return msr === TSC_DEADLINE
    },
    writeMsr: (_hart: number, _msr: number, low: number, high: number) => {
      apic.deadline = BigInt(high >>> 0) << 32n | BigInt(low >>> 0)
      return true
    },
  } as unknown as LocalController
  const calls = outsideCalls(() => view, 0, { model: models['x86-64'], hart: 0, harts: 1, timeFrequency: 1e9, ports: null, local: () => local, ticks: () => 0, entropy: () => 0n }) as unknown as Readonly<Record<string, (...args: readonly unknown[]) => unknown>>
  const field = (name: 'mailbox' | 'tscAdjust', value?: bigint): bigint => {
    if (value !== undefined) view.setBigUint64(x86Layout.offset[name], BigInt.asUintN(64, value), true)
    return view.getBigUint64(x86Layout.offset[name], true)
  }
  return {
    apic, field,
    write: (value: bigint) => {
      field('mailbox', value)
      expect(calls['writeLocalMsr']?.(TSC_DEADLINE)).toBe(0)
    },
    read: () => {
      expect(calls['readLocalMsr']?.(TSC_DEADLINE)).toBe(0)
      return field('mailbox')
    },
    move: (by: bigint) => {
      field('tscAdjust', field('tscAdjust') + by)
      calls['timeMoved']?.(by)
    },
  }
}

test('a deadline is of the counter that the guest sees', () => {
  const { apic, field, write, read, move } = withDeadline()
  for (const adjust of [0n, 1000n, -1000n]) {
    field('tscAdjust', adjust)
    write(5000n)
    expect([apic.deadline, read()]).toEqual([5000n - adjust, 5000n])
    write(0n)
    expect([apic.deadline, read()]).toEqual([0n, 0n])
  }
  // One that the machine's count has never had is behind it all the same.
  field('tscAdjust', 10_000n)
  write(5000n)
  expect(apic.deadline).toBe(1n)
  // The counter moves, the deadline does not.
  write(50_000n)
  move(7000n)
  expect([apic.deadline, read()]).toEqual([33_000n, 50_000n])
  move(100_000n)
  expect(apic.deadline).toBe(1n)
  write(0n)
  move(5n)
  expect(apic.deadline).toBe(0n)
})
