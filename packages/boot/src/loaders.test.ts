import { gunzipSync, gzipSync } from 'node:zlib'
import { readFileSync } from 'node:fs'
import { isMachinistError } from '@machinist/api'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ELF_MACHINE, createFdt, describeChosen, fdtCells, isFlatProgram, parseElf, parseFdt, parseLinuxImage, planRiscvBoot } from './index.ts'
import type { BootPlan } from './index.ts'

const MIB = 1024 * 1024

function failure(run: () => unknown): { code: string; remedy: string } {
  try {
    run()
  } catch (error) {
    if (isMachinistError(error)) return error
    throw error
  }
  return { code: 'none', remedy: '' }
}

function image(length: number, imageSize: number = length, textOffset: number = 2 * MIB): Uint8Array {
  const bytes = new Uint8Array(Math.max(length, 64))
  const view = new DataView(bytes.buffer)
  view.setBigUint64(8, BigInt(textOffset), true)
  view.setBigUint64(16, BigInt(imageSize), true)
  view.setUint32(32, 2, true)
  view.setUint32(56, 0x05435352, true)
  return bytes
}

interface Segment { at: number; virtual?: bigint; bytes: Uint8Array; memory?: number }

function elf(segments: readonly Segment[], entry: bigint, { type = 2, machine = 243 as number } = {}): Uint8Array {
  const headers = 64 + segments.length * 56
  const total = segments.reduce((sum, s) => sum + s.bytes.length, headers)
  const file = new Uint8Array(total)
  const view = new DataView(file.buffer)
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1])
  view.setUint16(16, type, true)
  view.setUint16(18, machine, true)
  view.setBigUint64(24, entry, true)
  view.setBigUint64(32, 64n, true)
  view.setUint16(54, 56, true)
  view.setUint16(56, segments.length, true)
  let offset = headers
  segments.forEach((s, index) => {
    const at = 64 + index * 56
    view.setUint32(at, 1, true)
    view.setUint32(at + 4, 5, true)
    view.setBigUint64(at + 8, BigInt(offset), true)
    view.setBigUint64(at + 16, s.virtual ?? BigInt(s.at), true)
    view.setBigUint64(at + 24, BigInt(s.at), true)
    view.setBigUint64(at + 32, BigInt(s.bytes.length), true)
    view.setBigUint64(at + 40, BigInt(s.memory ?? s.bytes.length), true)
    file.set(s.bytes, offset)
    offset += s.bytes.length
  })
  return file
}

describe('parseLinuxImage', () => {
  it('reads the header', () => {
    expect(parseLinuxImage(image(100, 5000))).toMatchObject({ architecture: 'riscv', textOffset: 2 * MIB, imageSize: 5000, bigEndian: false, version: { major: 0, minor: 2 } })
    const arm = image(100, 5000, 0)
    new DataView(arm.buffer).setUint32(56, 0x644d5241, true)
    expect(parseLinuxImage(arm).architecture).toBe('arm64')
  })

  it('refuses what is not an Image, and says what it is', () => {
    expect(failure(() => parseLinuxImage(gzipSync(image(100)))).remedy).toContain('gzip -dc')
    expect(failure(() => parseLinuxImage(image(100).subarray(0, 63)))).toMatchObject({ code: 'image-truncated', part: 'kernel' })
    expect(failure(() => parseLinuxImage(new Uint8Array(4096), '--kernel'))).toMatchObject({ code: 'image-magic', part: '--kernel' })
    const future = image(100)
    new DataView(future.buffer).setUint32(32, 0x10000, true)
    expect(failure(() => parseLinuxImage(future)).code).toBe('image-version')
    fc.assert(fc.property(fc.uint8Array({ minLength: 64, maxLength: 64 }), (noise) => {
      noise.set([0x52, 0x53, 0x43, 5], 56)
      expect(failure(() => parseLinuxImage(noise)).code).toMatch(/^(none|image-.*)$/)
    }))
  })
})

describe('parseElf', () => {
  it('reads this very Node: its sections, and where it begins', () => {
    const self = readFileSync(process.execPath)
    const parsed = parseElf(self)
    expect(parsed.bits).toBe(64)
    expect(parsed.machine).toBe(process.arch === 'x64' ? ELF_MACHINE.amd64 : ELF_MACHINE.arm64)
    expect(parsed.entry).not.toBeNull()
    expect(parsed.sections.map(({ name }) => name)).toContain('.text')
    const symbols = [...parsed.symbols()]
    if (parsed.sections.some(({ name }) => name === '.symtab')) expect(symbols.find(({ name }) => name === 'main')?.type).toBe(2)
  })

  it('maps a virtual entry point to its physical address', () => {
    const file = elf([{ at: 0x8020_0000, virtual: 0xffff_ffff_8000_0000n, bytes: new Uint8Array(16), memory: 4096 }], 0xffff_ffff_8000_0004n)
    expect(parseElf(file)).toMatchObject({ entry: 0x8020_0004, type: 2, machine: 243, segments: [{ address: 0x8020_0000, memorySize: 4096, flags: 5 }] })
    expect(parseElf(elf([{ at: 0, bytes: new Uint8Array(4) }], 4n)).entry).toBeNull()
  })

  it('survives every damage with a typed error or a result', () => {
    const good = elf([{ at: 0x1000, bytes: new Uint8Array(32) }, { at: 0x8000, bytes: new Uint8Array(8), memory: 64 }], 0x1000n)
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 5 }), fc.nat(good.length), (changes, length) => {
        const bad = good.slice()
        for (const [at, byte] of changes) bad[at] = byte
        expect(failure(() => [...parseElf(bad).symbols()]).code).toMatch(/^(none|elf-.*)$/)
        expect(failure(() => [...parseElf(bad.subarray(0, length)).symbols()]).code).toMatch(/^(none|elf-.*)$/)
      }),
      { numRuns: 2000 },
    )
  })
})

describe('planRiscvBoot', () => {
  const base = 0x8000_0000
  const dtb = ({ initrd }: { initrd: { start: number; end: number } | null }): Uint8Array => {
    const fdt = createFdt()
    describeChosen(fdt.root, { initrd, bootargs: 'quiet', rngSeed: new Uint8Array(32) })
    return fdt.toBytes()
  }
  const at = (plan: BootPlan, part: string) => plan.segments.filter((s) => s.part === part)

  it('enters an Image in S-mode, with the device tree naming the initrd', () => {
    const plan = planRiscvBoot({ memory: { base, size: 256 * MIB }, kernel: image(4 * MIB, 5 * MIB), initrd: new Uint8Array(3 * MIB + 1), dtb })
    const [kernel] = at(plan, 'kernel')
    const [tree] = at(plan, 'dtb')
    const [initrd] = at(plan, 'initrd')
    expect(kernel?.address).toBe(base + 2 * MIB)
    expect(plan).toMatchObject({ mode: 'supervisor', entry: { pc: base + 2 * MIB, args: ['hartid', tree?.address] } })
    expect((tree?.address ?? 1) % (2 * MIB)).toBe(0)
    const chosen = parseFdt(tree?.bytes ?? new Uint8Array(0)).find('/chosen')
    expect(fdtCells(chosen?.properties.get('linux,initrd-start'))).toEqual([0, initrd?.address])
    expect(fdtCells(chosen?.properties.get('linux,initrd-end'))).toEqual([0, (initrd?.address ?? 0) + 3 * MIB + 1])
  })

  it('enters firmware in M-mode and tells it what comes next', () => {
    const plan = planRiscvBoot({ memory: { base, size: 128 * MIB }, kernel: image(MIB), firmware: new Uint8Array(300_000).fill(1), dtb })
    const [info] = at(plan, 'fw-dynamic-info')
    expect(plan.mode).toBe('machine')
    expect(plan.entry).toEqual({ pc: base, args: ['hartid', at(plan, 'dtb')[0]?.address, info?.address] })
    const words = new BigUint64Array(info?.bytes.slice().buffer ?? new ArrayBuffer(0))
    expect([...words]).toEqual([0x4942534fn, 2n, BigInt(base + 2 * MIB), 1n, 0n, 0xffff_ffff_ffff_ffffn])
  })

  it('takes flat code to where kernels for this kind of machine are linked, and nothing else for such', () => {
    const memory = { base, size: 64 * MIB }
    const flat = Uint8Array.of(0x17, 0x01, 0x00, 0x00, 0x13, 0x01, 0x01, 0x00) // auipc sp, 0; mv sp, sp
    const plan = planRiscvBoot({ memory, kernel: flat, dtb })
    expect([plan.mode, plan.entry.pc, at(plan, 'kernel')[0]?.address]).toEqual(['supervisor', base + 2 * MIB, base + 2 * MIB])
    expect(planRiscvBoot({ memory, kernel: flat, firmware: new Uint8Array(64).fill(1), dtb }).entry.pc).toBe(base)
    expect(isFlatProgram(Uint8Array.of(0x01, 0x45, 0x02, 0x90))).toBe(true) // c.li a0, 0; c.ebreak
    const bz = new Uint8Array(0x1000).fill(0x13)
    bz.set([0x48, 0x64, 0x72, 0x53], 0x202)
    const words = new TextEncoder().encode('#!/bin/sh\necho this is no kernel, whatever it is called\n'.repeat(3))
    fc.assert(fc.property(fc.uint8Array({ maxLength: 700 }), fc.constantFrom([], [0x4d, 0x5a], [0x4d, 0x5a, 0, 0, 0x7a]), (noise, head) => {
      noise.set(head.slice(0, noise.length))
      expect(failure(() => planRiscvBoot({ memory, kernel: noise, dtb })).code).toMatch(/^(none|image-.*|elf-.*)$/)
    }))
    for (const [kernel, code] of [
      [new Uint8Array(64), 'image-magic'], [words, 'image-magic'], [Uint8Array.of(0x1f, 0, 0, 0, ...new Uint8Array(60)), 'image-magic'], [bz, 'image-compressed'],
      [new Uint8Array(0), 'image-truncated'], [Uint8Array.of(0x4d, 0x5a, ...new Uint8Array(38)), 'image-truncated'], [image(100).subarray(0, 100).fill(0, 56, 60), 'image-magic'],
    ] as const) expect(failure(() => planRiscvBoot({ memory, kernel, dtb })).code).toBe(code)
  })

  it('takes ELF files as the tools of small kernels make them', () => {
    const memory = { base, size: 64 * MIB }
    // The file's headers on a page of their own below RAM.
    const file = elf([{ at: base - 4096, bytes: new Uint8Array(0), memory: 176 }, { at: base, bytes: new Uint8Array(64) }], BigInt(base))
    const view = new DataView(file.buffer)
    view.setBigUint64(64 + 8, 0n, true)
    view.setBigUint64(64 + 32, 176n, true)
    for (const part of ['kernel', 'firmware'] as const) expect(at(planRiscvBoot({ memory, [part]: file, dtb }), part).map(({ address }) => address)).toEqual([base])
    // An entry point that is a physical address, though all is linked high.
    const high = elf([{ at: base + 2 * MIB, virtual: 0xffff_ffc0_0000_0000n, bytes: new Uint8Array(64) }], BigInt(base + 2 * MIB + 4))
    expect(planRiscvBoot({ memory, kernel: high, dtb }).entry.pc).toBe(base + 2 * MIB + 4)
    file[4] = 1
    expect(failure(() => planRiscvBoot({ memory, kernel: file, dtb })).code).toMatch(/^elf-/)
  })

  it('moves position-independent firmware to the base of RAM', () => {
    const plan = planRiscvBoot({ memory: { base, size: 64 * MIB }, firmware: elf([{ at: 0, bytes: new Uint8Array(64), memory: 8192 }], 16n, { type: 3 }), dtb })
    expect(plan.entry.pc).toBe(base + 16)
    expect(at(plan, 'firmware')[0]).toMatchObject({ address: base, memorySize: 8192 })
  })

  it('refuses Linux with less RAM than it can begin in, and says how much that is', () => {
    // Debian 13's kernel and our initrd boot with 120 MiB, and neither with 96 nor 112.
    const debian = { kernel: image(30 * MIB, 31_899_648), initrd: new Uint8Array(15_163_792), dtb }
    for (const size of [64, 96, 112]) {
      expect(failure(() => planRiscvBoot({ memory: { base, size: size * MIB }, ...debian }))).toMatchObject({
        code: 'boot-memory', part: 'memory', value: `${size} MiB`, remedy: 'Give the machine memory of at least 120M',
        message: expect.stringContaining('too little for a kernel of 31 MiB and an initrd of 15 MiB') as string,
      })
    }
    expect(planRiscvBoot({ memory: { base, size: 120 * MIB }, ...debian }).mode).toBe('supervisor')
    // A small one is content with little, and what is not Linux is its author's affair.
    expect(planRiscvBoot({ memory: { base, size: 16 * MIB }, kernel: image(4 * MIB), initrd: new Uint8Array(MIB), dtb }).mode).toBe('supervisor')
    expect(planRiscvBoot({ memory: { base, size: 16 * MIB }, kernel: elf([{ at: base, bytes: new Uint8Array(64), memory: 12 * MIB }], BigInt(base)), dtb }).mode).toBe('supervisor')
  })

  it('fits or says how much memory would do, and with that it fits', () => {
    const size = fc.integer({ min: 64, max: 24 * MIB })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 64, max: 8 * MIB }), size, fc.option(size), fc.option(fc.integer({ min: 4, max: 3 * MIB })), (mib, length, bss, initrd, fw) => {
        const options = { kernel: image(length, length + bss), initrd: initrd === null ? undefined : new Uint8Array(initrd), firmware: fw === null ? undefined : new Uint8Array(fw).fill(7), dtb }
        const attempt = (memory: number): string => {
          const result = failure(() => {
            const plan = planRiscvBoot({ memory: { base, size: memory }, ...options })
            const sorted = [...plan.segments].sort((a, b) => a.address - b.address)
            let end = base
            for (const s of sorted) {
              expect(s.address).toBeGreaterThanOrEqual(end)
              expect(s.bytes.length).toBeLessThanOrEqual(s.memorySize)
              end = s.address + s.memorySize
            }
            expect(end).toBeLessThanOrEqual(base + memory)
            expect((at(plan, 'dtb')[0]?.address ?? 1) % 8).toBe(0)
          })
          return result.code === 'boot-memory' ? result.remedy : result.code
        }
        let outcome = attempt(mib * MIB)
        for (let tries = 0; tries < 3 && outcome.startsWith('Give'); tries++) outcome = attempt(Number(/(\d+)M$/.exec(outcome)?.[1]) * MIB)
        expect(outcome).toBe(fw !== null && fw > 2 * MIB ? 'boot-overlap' : 'none')
      }),
      { numRuns: 60 },
    )
  })

  it('keeps everything below 4 GiB', () => {
    const plan = planRiscvBoot({ memory: { base, size: 16384 * MIB }, kernel: image(MIB), initrd: new Uint8Array(MIB), dtb })
    for (const s of plan.segments) expect(s.address + s.memorySize).toBeLessThanOrEqual(2 ** 32)
  })

  it('refuses what cannot boot', () => {
    const memory = { base, size: 64 * MIB }
    const plan = (rest: object) => failure(() => planRiscvBoot({ memory, dtb, ...rest })).code
    expect(plan({})).toBe('boot-nothing')
    expect(plan({ kernel: elf([{ at: base, bytes: new Uint8Array(4) }], BigInt(base), { machine: 62 }) })).toBe('elf-machine')
    expect(plan({ kernel: elf([{ at: base, bytes: new Uint8Array(4) }], 0n) })).toBe('elf-entry')
    expect(plan({ kernel: elf([{ at: 4096, bytes: new Uint8Array(4) }], 4096n) })).toBe('boot-outside')
    expect(plan({ kernel: elf([{ at: base, bytes: new Uint8Array(64) }, { at: base + 32, bytes: new Uint8Array(4) }], BigInt(base)) })).toBe('boot-overlap')
    expect(plan({ firmware: image(100) })).toBe('firmware-kernel')
    expect(plan({ firmware: new Uint8Array(0) })).toBe('firmware-empty')
    expect(plan({ kernel: image(100), dtb: () => new Uint8Array(3 * MIB) })).toBe('boot-dtb')
    expect(plan({ kernel: gzipSync(image(100)) })).toBe('none')
    expect(plan({ kernel: gzipSync(image(100)).subarray(0, -1) })).toBe('image-compressed')
    expect(plan({ kernel: gzipSync(image(100)), inflate: (bytes: Uint8Array, limit: number) => gunzipSync(bytes, { maxOutputLength: limit }) })).toBe('none')
    expect(failure(() => describeChosen(createFdt().root, { rngSeed: new Uint8Array(8) })).code).toBe('chosen-seed')
    expect(failure(() => describeChosen(createFdt().root, { bootargs: 'x'.repeat(1024) })).code).toBe('chosen-bootargs')
  })
})
