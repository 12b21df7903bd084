import { expect, test } from 'vitest'
import type { Interpreter } from '../../src/index.ts'
import { boot, run, words } from './boot.ts'

/** A machine of 32-bit code without paging, beside whose memory are registers that read as their address; what it does with them. */
function machine(code: string): { readonly cpu: Interpreter; readonly log: string[] } {
  const log: string[] = []
  const cpu = boot('32', code, {
    devices: {
      read: (address, bytes) => {
        log.push(`read ${address.toString(16)} ${bytes}`)
        return BigInt.asUintN(8 * bytes, BigInt(address) * 0x1_0000_0001n)
      },
      write: (address, bytes, value) => void log.push(`write ${address.toString(16)} ${bytes} ${value.toString(16)}`),
    },
  })
  return { cpu, log }
}

test('an access to a device is one access of its width', () => {
  // mov eax, [fec00010]; mov al, [fec00011]; mov ax, [fec00012]; movq mm0, [fec00018]; mov [fec00010], eax; mov [fec00010], al; mov [fec00010], ax
  const { cpu, log } = machine('a11000c0fe a01100c0fe 66a11200c0fe 0f6f051800c0fe b878563412 a31000c0fe a21000c0fe 66a31000c0fe b834123412 01051400c0fe')
  run(cpu, 10)
  expect(log).toEqual([
    'read fec00010 4', 'read fec00011 1', 'read fec00012 2', 'read fec00018 8', 'write fec00010 4 12345678', 'write fec00010 1 78', 'write fec00010 2 5678',
    'read fec00014 4', `write fec00014 4 ${(0xfec0_0014 + 0x1234_1234 - 2 ** 32).toString(16)}`,
  ])
})

test('one that is not aligned, or wider, is those that are', () => {
  // CR4.OSFXSR; mov eax, [fec00006]; mov [fec00fff], eax; movdqu xmm0, [fec00010]
  const { cpu, log } = machine('0f20e0 0d00020000 0f22e0 a10600c0fe a3ff0fc0fe f30f6f051000c0fe')
  run(cpu, 6)
  expect(log).toEqual([
    'read fec00006 2', 'read fec00008 2', 'write fec00fff 1 6', 'write fec01000 2 800', 'write fec01002 1 0', 'read fec00010 8', 'read fec00018 8',
  ])
  expect(cpu.register(0)).toBe(0x0008_0006n)
})

test('an access across the end of memory is partly of a device', () => {
  // mov eax, [3ffffe]; mov [3ffffe], ebx
  const { cpu, log } = machine('a1feff3f00 891dfeff3f00')
  words(cpu, 0x3f_fffc, [0xbbaa_0000])
  cpu.setRegister(3, 0x4433_2211n)
  run(cpu, 2)
  expect(cpu.register(0)).toBe(0xbbaan)
  expect([...cpu.memory.subarray(0x3f_fffc)]).toEqual([0, 0, 0x11, 0x22])
  expect(log).toEqual(['read 400000 2', 'write 400000 2 4433'])
})

test('what nobody answers reads as ones', () => {
  const cpu = boot('32', 'a11000c0fe a31000c0fe')
  run(cpu, 2)
  expect(cpu.register(0)).toBe(0xffff_ffffn)
})

test('a port gets a value that is not negative', () => {
  const written: number[] = []
  // mov eax, -1; out 0x80, eax
  const cpu = boot('32', 'b8ffffffff e780', { ports: { read: () => 0, write: (_port, _bytes, value) => void written.push(value) } })
  run(cpu, 2)
  expect(written).toEqual([0xffff_ffff])
})
