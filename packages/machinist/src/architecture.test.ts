import { isMachinistError } from '@machinist/api'
import { describe, expect, it } from 'vitest'
import { parseCommand } from './arguments.ts'
import { ARCHITECTURES, board, definedArchitecture, kernelArchitecture, parseArchitecture, settle } from './architecture.ts'
import type { RunOptions } from './arguments.ts'

/** A bzImage as far as it tells what it is for: boot protocol 2.15, with the flag of a 64-bit entry or without. */
function bzImage(wide: boolean): Uint8Array {
  const view = new DataView(new ArrayBuffer(0x800))
  view.setUint8(0x1f1, 1)
  view.setUint32(0x1f4, 0x40, true)
  view.setUint16(0x1fe, 0xaa55, true)
  view.setUint8(0x201, 0x268 - 0x202)
  view.setUint32(0x202, 0x5372_6448, true)
  view.setUint16(0x206, 0x20f, true)
  view.setUint8(0x211, 1)
  view.setUint16(0x236, wide ? 1 : 0, true)
  view.setBigUint64(0x258, 0x100_0000n, true)
  return new Uint8Array(view.buffer)
}

function image(magic: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(64))
  view.setUint32(56, magic, true)
  return new Uint8Array(view.buffer)
}

function options(...args: string[]): RunOptions {
  const command = parseCommand(args)
  if (command.kind !== 'run') throw new Error(command.kind)
  return command.options
}

function refusal(work: () => unknown): unknown {
  try {
    return work()
  } catch (error) {
    if (isMachinistError(error)) return `${error.code} ${error.part}`
    throw error
  }
}

describe('the architecture of a machine', () => {
  it('has the names of uname and of Debian', () => {
    expect(Object.entries(ARCHITECTURES).map(([uname, debian]) => [parseArchitecture(uname), parseArchitecture(debian)])).toEqual(Object.values(ARCHITECTURES).map((name) => [name, name]))
    expect(refusal(() => parseArchitecture('mips'))).toBe('usage --arch')
  })

  it('is told by a kernel', () => {
    expect([bzImage(true), bzImage(false), image(0x0543_5352), new Uint8Array(8)].map(kernelArchitecture)).toEqual(['amd64', 'i386', 'riscv64', null])
  })

  it('is what was asked for, or what a disk has', () => {
    expect([settle(options()), settle(options('--arch', 'i386')), settle(options('a.img'), 'amd64'), settle(options('a.img', '--virtio', 'mmio'), 'i386'), settle(options('a.img', '--arch', 'x86_64'), 'i386')].map(({ arch, virtio }) => `${arch} ${virtio}`))
      .toEqual(['riscv64 mmio', 'i386 pci', 'amd64 pci', 'i386 mmio', 'amd64 pci'])
    expect([settle(options('a.img'), null), settle(options('a.img', '--firmware', 'f'), 'riscv64')].map(({ arch }) => arch)).toEqual(['riscv64', 'riscv64'])
    const refused = [['--arch', 'i386'], ['--arch', 'riscv64'], ['--firmware', 'f'], ['--interrupts', 'aia'], ['--virtio', 'mmio-legacy'], ['--dump-dtb', 'f']] as const
    expect(refused.map((words) => refusal(() => settle(options('a.img', ...words), 'amd64')))).toEqual(['usage --arch', 'usage --arch', 'usage --firmware', 'usage --interrupts', 'usage --virtio', 'usage --dump-dtb'])
    expect(refusal(() => options('--arch', 'i386', '--pmem', 'p.img'))).toBe('usage --pmem')
    expect(options('--arch', 'i386', '--pmem', 'p.img', '--kernel', 'own').arch).toBe('i386')
  })

  it('is found again in the definition of its machine', () => {
    for (const name of Object.values(ARCHITECTURES)) expect(definedArchitecture(board(name, {}).definition)).toBe(name)
  })
})
