import { expect, test } from 'vitest'
import { HartPmu, HsmState, Sbi, SbiError, SbiExtension, type SbiHart } from './index.ts'

interface FakeHart extends SbiHart {
  readonly did: string[]
}

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value) & 0xffff_ffff_ffff_ffffn

/** Harts as hardware would have them: registers alone, and what was asked of each. */
function setup(count: number, pmu: boolean, fences: boolean) {
  const did: string[] = []
  const ram = new Uint8Array(4096)
  const harts = Array.from({ length: count }, (_, index): FakeHart => {
    const x = new BigUint64Array(32)
    const own: string[] = []
    return {
      index, hsm: index === 0 ? HsmState.started : HsmState.stopped, did: own,
      pmu: pmu ? new HartPmu({ isRunning: () => true, start() {}, stop() {} }) : null,
      getX: (at) => x[at] ?? 0n,
      setX: (at, value) => { x[at] = value },
      setTimer: (time) => { own.push(`timer ${time}`) },
      raiseSoftwareInterrupt: () => { own.push('ipi') },
      clearSoftwareInterrupt: () => true,
      readVirtual: (address) => address === 0x100n ? 0b101n : null,
      requestFlush: () => { own.push('flush') },
      ...(fences && { fenceInstructions: () => { own.push('fence.i') } }),
      start(pc, opaque) {
        this.hsm = HsmState.started
        own.push(`start ${pc} ${opaque}`)
      },
      stop() { this.hsm = HsmState.stopped },
      suspend(resume) {
        this.hsm = HsmState.suspended
        own.push(resume === null ? 'suspend' : `suspend ${resume.pc} ${resume.opaque}`)
      },
    }
  })
  const inside = (address: number, length: number): boolean => address + length <= ram.length
  const sbi = new Sbi({
    harts,
    memory: {
      read: (address, into) => inside(address, into.length) && (into.set(ram.subarray(address, address + into.length)), true),
      write: (address, from) => inside(address, from.length) && (ram.set(from, address), true),
    },
    console: {
      send: (bytes) => { did.push(`said ${[...bytes].join(' ')}`) },
      read: (into) => { into[0] = 65; return Math.min(1, into.length) },
    },
    powerOff: (status) => { did.push(`off ${status}`) },
    reset: () => { did.push('reset') },
  })
  const call = (extension: number, id: number, args: readonly bigint[] = [], index = 0): [bigint, bigint] => {
    const hart = harts[index]
    if (hart === undefined) throw new RangeError('no such hart')
    for (let at = 0; at < 6; at++) hart.setX(10 + at, args[at] ?? 0n)
    hart.setX(16, BigInt(id))
    hart.setX(17, BigInt(extension))
    sbi.call(hart)
    return [hart.getX(10), hart.getX(11)]
  }
  return { did, ram, harts, call }
}

test('what harts do not have is not offered', () => {
  const probe = (pmu: boolean): bigint => setup(1, pmu, false).call(SbiExtension.base, 3, [BigInt(SbiExtension.pmu)])[1]
  expect([probe(true), probe(false)]).toEqual([1n, 0n])
  const { call } = setup(2, false, false)
  expect(call(SbiExtension.pmu, 0)[0]).toBe(u64(SbiError.notSupported))
  expect(call(SbiExtension.ipi, 0, [1n, 0n])[0]).toBe(0n)
})

test('fences reach the harts that are named, and those of instructions the harts that need them', () => {
  for (const needed of [true, false]) {
    const { call, harts } = setup(3, false, needed)
    expect([call(SbiExtension.rfence, 0, [0b110n, 0n])[0], call(SbiExtension.rfence, 1, [1n, 2n])[0], call(SbiExtension.legacyRemoteFenceI, 0, [0x100n])[0]]).toEqual([0n, 0n, 0n])
    const fence = needed ? ['fence.i'] : []
    expect(harts.map((hart) => hart.did)).toEqual([fence, fence, [...fence, 'flush', ...fence]])
    expect([call(SbiExtension.rfence, 0, [1n, 3n])[0], call(SbiExtension.rfence, 7, [1n])[0]]).toEqual([u64(SbiError.invalidParam), u64(SbiError.notSupported)])
  }
})

test('harts start and stop, and arguments are the guest’s', () => {
  const { call, harts } = setup(2, true, true)
  expect(call(SbiExtension.hsm, 0, [1n, 0x80n, 7n])[0]).toBe(0n)
  expect(harts[1]?.did).toEqual(['start 128 7'])
  expect(call(SbiExtension.hsm, 0, [1n, 0x80n, 7n])[0]).toBe(u64(SbiError.alreadyAvailable))
  call(SbiExtension.hsm, 1, [], 1)
  expect(call(SbiExtension.hsm, 2, [1n])).toEqual([0n, BigInt(HsmState.stopped)])
  for (const at of [0x81n, 4095n + 1n, 1n << 60n]) expect(call(SbiExtension.hsm, 0, [1n, at])[0]).toBe(u64(SbiError.invalidAddress))
  for (const hart of [2n, 1n << 32n, u64(-1n)]) expect(call(SbiExtension.hsm, 0, [hart, 0x80n])[0]).toBe(u64(SbiError.invalidParam))
  call(SbiExtension.hsm, 3, [0x8000_0000n, 0x40n, 3n])
  expect([harts[0]?.hsm, harts[0]?.did]).toEqual([HsmState.suspended, ['suspend 64 3']])
})

test('says, hears and switches off', () => {
  const { call, did, ram } = setup(1, false, false)
  ram.set([72, 105], 0x10)
  expect(call(SbiExtension.dbcn, 0, [2n, 0x10n, 0n])).toEqual([0n, 2n])
  expect([call(SbiExtension.dbcn, 1, [4n, 0x20n, 0n]), ram[0x20]]).toEqual([[0n, 1n], 65])
  for (const args of [[2n, 4095n, 0n], [2n, 0n, 1n], [u64(-1n), 0n, 0n]]) expect(call(SbiExtension.dbcn, 0, args)[0]).toBe(u64(SbiError.invalidParam))
  call(SbiExtension.legacyPutchar, 0, [0x141n])
  call(SbiExtension.srst, 0, [0n, 1n])
  call(SbiExtension.srst, 0, [1n, 0n])
  expect(call(SbiExtension.time, 0, [u64(-1n)])[0]).toBe(0n)
  expect(did).toEqual(['said 72 105', 'said 65', 'off 1', 'reset'])
})
