import { describe, expect, test } from 'vitest'
import { Vector } from '../../src/index.ts'
import { at, boot, raised, run, words } from './boot.ts'

const [EAX, EBX] = [0, 3]
const table = at.tables + 0x3000
/** Where a page of 4 KiB is mapped, by its entry. */
const PAGE = 0x40_0000

/** Long mode with one page of 4 KiB at PAGE, beside the first 4 MiB. */
function machine(code: string, entry = 0x10_0007): ReturnType<typeof boot> {
  const cpu = boot('64', code)
  words(cpu, at.tables + 0x2010, [table + 7, 0])
  words(cpu, table, [entry, 0])
  words(cpu, 0x10_0000, [1])
  words(cpu, 0x10_1000, [2])
  return cpu
}

// mov eax, [PAGE]
const load = '8b042500004000'
/** mov dword ptr [table], 0x101007 | flags */
const remap = (flags = 0): string => `c70425003002 00${Buffer.from([7 | flags & 255, 0x10 | flags >> 8, 0x10, 0]).toString('hex')}`

describe('the TLB', () => {
  test('keeps a translation until it is told to forget it: INVLPG, MOV to CR3, a change of CR4.PGE', () => {
    for (const [name, flush] of [['invlpg', '0f013c2500004000'], ['cr3', '0f20d9 0f22d9'], ['pge', '0f20e1 80f180 0f22e1']] as const) {
      const steps = { invlpg: 1, cr3: 2, pge: 3 }[name]
      const cpu = machine(`${load} ${remap()} ${load} 89c3 ${flush} ${load}`)
      run(cpu, 4 + steps + 1)
      expect([cpu.register(EBX), cpu.register(EAX)], name).toEqual([1n, 2n])
    }
  })

  test('keeps global pages over MOV to CR3, and not over one of CR4.PGE', () => {
    // All pages are global; mov ecx, cr3; mov cr3, ecx forgets that they were not.
    const cpu = machine(`0f20d9 0f22d9 ${load} ${remap(0x100)} 0f20d9 0f22d9 ${load} 89c3 0f20e1 80f180 0f22e1 ${load}`, 0x10_0107)
    words(cpu, at.tables + 0x2000, [0x187, 0, 0x20_0187, 0])
    run(cpu, 2 + 2 + 2 + 2 + 3 + 1)
    expect([cpu.register(EBX), cpu.register(EAX)]).toEqual([1n, 2n])
  })

  test('forgets all of a large page by one of its addresses', () => {
    // mov eax, [0x300000]; the entry of the second 2 MiB leads to the first; invlpg [0x200000]; mov eax, [0x300000]
    const cpu = boot('64', '8b042500003000 c704250820020087000000 89c3 0f013c2500002000 8b042500003000')
    words(cpu, 0x30_0000, [3])
    words(cpu, 0x10_0000, [1])
    run(cpu, 5)
    expect([cpu.register(EBX), cpu.register(EAX)]).toEqual([3n, 1n])
  })

  test('has the translations of each PCID, until INVPCID of its kind', () => {
    // mov eax, cr4; or eax, PCIDE + SMAP; mov cr4, eax; and AC, so that the page is a user's
    const start = '0f20e0 0d00002200 0f22e0 9c 810c2400000400 9d'
    // To PCID 1 and back to 0, without forgetting it: mov rax, cr3; or eax, 1; mov cr3, rax; xor eax, 1; bts rax, 63; mov cr3, rax
    const trip = '0f20d8 83c801 0f22d8 83f001 480fbae83f 0f22d8'
    // mov ecx, type; invpcid rcx, [0x700]
    const invalidate = (type: number): string => `b9${Buffer.from([type, 0, 0, 0]).toString('hex')} 660f38820c2500070000`
    for (const [type, descriptor, after] of [[0, [0, 0, PAGE, 0], 2n], [0, [1, 0, PAGE, 0], 1n], [1, [0, 0, 0, 0], 2n], [1, [1, 0, 0, 0], 1n], [2, [0, 0, 0, 0], 2n], [3, [0, 0, 0, 0], 2n]] as const) {
      const cpu = machine(`${start} ${load} ${remap()} ${trip} ${load} 89c3 ${invalidate(type)} ${load}`)
      words(cpu, 0x700, descriptor)
      words(cpu, at.tables + 0x2000, [0x83, 0, 0x20_0083, 0])
      run(cpu, 6 + 2 + 6 + 2 + 2 + 1)
      expect([cpu.register(EBX), cpu.register(EAX)], `type ${type}`).toEqual([1n, after])
    }
    for (const [type, descriptor] of [[4, [0, 0, 0, 0]], [0, [0, 0, 0, 0x8000_0000 - 1]], [1, [0x1000, 0, 0, 0]]] as const) {
      const cpu = machine(`${start} ${invalidate(type)}`)
      words(cpu, 0x700, descriptor)
      words(cpu, at.tables + 0x2000, [0x83, 0, 0x20_0083, 0])
      run(cpu, 7)
      expect(raised(cpu)).toEqual([Vector.generalProtection, 0])
    }
  })

  test('lets nobody write to what was only read, and sets D at the first write', () => {
    // mov eax, [PAGE]; mov [PAGE], eax
    const cpu = machine(`${load} 89042500004000`)
    const entry = new DataView(cpu.memory.buffer, cpu.memory.byteOffset + table)
    run(cpu, 1)
    expect(entry.getUint32(0, true)).toBe(0x10_0027)
    run(cpu, 1)
    expect(entry.getUint32(0, true)).toBe(0x10_0067)
  })

  test('has nothing of a level for another: SMAP is asked by AC, and a user by U/S', () => {
    // mov eax, cr4; or eax, 0x200000; mov cr4, eax; pushfq; or dword ptr [rsp], 0x40000; popfq; load; pushfq; and dword ptr [rsp], ~0x40000; popfq; load
    const cpu = machine(`0f20e0 0d00002000 0f22e0 9c 810c2400000400 9d ${load} 9c 812424fffffbff 9d ${load}`)
    // The code's pages are the supervisor's.
    words(cpu, at.tables, [at.tables + 0x1007, 0])
    words(cpu, at.tables + 0x2000, [0x83, 0, 0x20_0083, 0])
    run(cpu, 10)
    expect(cpu.register(EAX)).toBe(1n)
    expect(raised(cpu)).toEqual([Vector.pageFault, 1])
  })
})
