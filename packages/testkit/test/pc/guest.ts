/**
 * Accesses made by a program on QEMU's own PC, whose time is counted in instructions: each has an exact moment, the same in every run. The program is a ROM of its own that
 * works a table off; nothing else runs there.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const ROM_SIZE = 0x1_0000
const ROM = 2 ** 32 - ROM_SIZE
const RAM_SIZE = 64 * 2 ** 20
const [TABLE, RESULTS, STACK] = [0x10_0000, 0x200_0000, 0x8_0000] as const
const ENTRY = 16
/** Where QEMU's exit device is. */
const EXIT = 0xf4
/** Nanoseconds of an instruction, as a power of two: the most that QEMU has. */
const SHIFT = 10
export const INSTRUCTION: number = 2 ** SHIFT

/** What the program can do, in the order of its table of routines. */
const routines = {
  outb: [0xee],
  inb: [0x31, 0xc0, 0xec],
  write32: [0x89, 0x02],
  read32: [0x8b, 0x02],
  // mov eax, -1; sti; nop; nop; nop; cli: the handler puts the vector into EAX.
  take: [0xb8, 0xff, 0xff, 0xff, 0xff, 0xfb, 0x90, 0x90, 0x90, 0xfa],
} as const
const kinds = Object.keys(routines) as (keyof typeof routines)[]
/** Instructions from RDTSC to the access, itself included. */
const distance = { outb: 5, inb: 6, write32: 5, read32: 5, take: 7 } as const

/** An access of the guest, or an interrupt that it takes if one is there (its vector is what was read, all ones without), after a rest of `wait` turns of a loop of two instructions. */
export interface Access {
  readonly kind: keyof typeof routines
  readonly at?: number
  readonly value?: number
  readonly wait?: number
}

/** When it was made, in virtual nanoseconds, and what was read. */
export interface Outcome {
  readonly time: number
  readonly value: number
}

/** Has QEMU's PC make accesses in their order. @param args - more words for its command line */
export function onGuest(accesses: readonly Access[], args: readonly string[] = []): Outcome[] {
  if (accesses.length >= (RESULTS - TABLE) / ENTRY) throw new RangeError('more accesses than there is room for')
  const folder = mkdtempSync(join(tmpdir(), 'machinist-'))
  try {
    const [ram, rom] = [join(folder, 'ram'), join(folder, 'rom')]
    writeFileSync(rom, program())
    const memory = new DataView(new ArrayBuffer(TABLE + (accesses.length + 1) * ENTRY))
    for (const [index, { kind, at = 0, value = 0, wait = 0 }] of accesses.entries()) {
      for (const [word, what] of [kinds.indexOf(kind), at, value, wait].entries()) memory.setUint32(TABLE + index * ENTRY + word * 4, what, true)
    }
    memory.setUint32(TABLE + accesses.length * ENTRY, kinds.length, true)
    writeFileSync(ram, new Uint8Array(memory.buffer))
    truncateSync(ram, RAM_SIZE)
    const { status, stderr } = spawnSync('qemu-system-x86_64', [
      '-machine', 'pc,memory-backend=ram', '-object', `memory-backend-file,id=ram,size=${RAM_SIZE},mem-path=${ram},share=on`, '-m', `${RAM_SIZE / 2 ** 20}M`, '-cpu', 'max',
      '-nodefaults', '-display', 'none', '-bios', rom, '-icount', `shift=${SHIFT},sleep=off`, '-device', `isa-debug-exit,iobase=${EXIT}`, ...args,
    ], { encoding: 'utf8', timeout: 20 * 60_000 })
    if (status !== 1) throw new Error(`QEMU ended with status ${String(status)}: ${stderr}`)
    const { buffer, byteOffset } = new Uint8Array(readFileSync(ram))
    const results = new DataView(buffer, byteOffset + RESULTS)
    return accesses.map(({ kind }, index) => ({
      time: results.getUint32(index * ENTRY, true) + results.getUint32(index * ENTRY + 4, true) * 2 ** 32 + distance[kind] * INSTRUCTION,
      value: results.getUint32(index * ENTRY + 8, true),
    }))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The ROM: from real mode at the reset vector to flat protected mode, then entry after entry. */
function program(): Uint8Array {
  const rom = new Uint8Array(ROM_SIZE)
  const view = new DataView(rom.buffer)
  let at = 0
  const emit = (...bytes: readonly number[]): void => {
    rom.set(bytes, at)
    at += bytes.length
  }
  const word = (value: number): void => {
    view.setUint32(at, value, true)
    at += 4
  }
  const [GDT, GDTR, IDTR, TARGETS, IDT, GATES] = [0xf000, 0xf020, 0xf030, 0xf040, 0xe000, 0x1000] as const
  for (const [index, [low, high]] of [[0, 0], [0xffff, 0x00cf_9a00], [0xffff, 0x00cf_9200]].entries()) {
    view.setUint32(GDT + index * 8, low ?? 0, true)
    view.setUint32(GDT + index * 8 + 4, high ?? 0, true)
  }
  // Each gate: push vector; jmp common. There: pop eax; and [esp + 8], not IF; iret.
  const GATE = 10
  const common = GATES + 256 * GATE
  for (let vector = 0; vector < 256; vector++) {
    const gate = GATES + vector * GATE
    rom[gate] = 0x68
    view.setUint32(gate + 1, vector, true)
    rom[gate + 5] = 0xe9
    view.setInt32(gate + 6, common - gate - GATE, true)
    view.setUint32(IDT + vector * 8, 8 << 16 | gate, true)
    view.setUint32(IDT + vector * 8 + 4, ROM + 0x8e00, true)
  }
  rom.set([0x58, 0x81, 0x64, 0x24, 0x08, 0xff, 0xfd, 0xff, 0xff, 0xcf], common)
  view.setUint16(IDTR, 2047, true)
  view.setUint32(IDTR + 2, ROM + IDT, true)
  view.setUint16(GDTR, 23, true)
  view.setUint32(GDTR + 2, ROM + GDT, true)
  // cli; lgdt cs:[GDTR]; mov eax, cr0; or al, 1; mov cr0, eax; jmp 8:flat
  emit(0xfa, 0x2e, 0x66, 0x0f, 0x01, 0x16, GDTR & 0xff, GDTR >> 8, 0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, 0x66, 0xea)
  word(ROM + at + 6)
  emit(0x08, 0x00)
  // mov ax, 16; mov ds, es and ss, ax; mov esi, TABLE; mov edi, RESULTS; mov esp, STACK
  emit(0x66, 0xb8, 0x10, 0x00, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0xbe)
  word(TABLE)
  emit(0xbf)
  word(RESULTS)
  emit(0xbc)
  word(STACK)
  // lidt [IDTR]
  emit(0x0f, 0x01, 0x1d)
  word(ROM + IDTR)
  const next = at
  // mov ecx, [esi + 12]; test ecx, ecx; jz over; loop: dec ecx; jnz loop; over:
  emit(0x8b, 0x4e, 0x0c, 0x85, 0xc9, 0x74, 0x03, 0x49, 0x75, 0xfd)
  // mov eax, [esi]; mov ebx, [esi + 8]; mov ecx, [esi + 4]; jmp [TARGETS + 4 eax]
  emit(0x8b, 0x06, 0x8b, 0x5e, 0x08, 0x8b, 0x4e, 0x04, 0xff, 0x24, 0x85)
  word(ROM + TARGETS)
  // rdtsc; mov [edi], eax; mov [edi + 4], edx; mov edx, ecx; mov eax, ebx
  const begin = [0x0f, 0x31, 0x89, 0x07, 0x89, 0x57, 0x04, 0x89, 0xca, 0x89, 0xd8]
  for (const [index, kind] of kinds.entries()) {
    view.setUint32(TARGETS + index * 4, ROM + at, true)
    // The access; mov [edi + 8], eax; add esi, ENTRY; add edi, ENTRY; jmp next
    emit(...begin, ...routines[kind], 0x89, 0x47, 0x08, 0x83, 0xc6, ENTRY, 0x83, 0xc7, ENTRY, 0xe9)
    word(next - at - 4)
  }
  view.setUint32(TARGETS + kinds.length * 4, ROM + at, true)
  // xor eax, eax; mov dx, EXIT; out dx, al
  emit(0x31, 0xc0, 0x66, 0xba, EXIT, 0x00, 0xee)
  // The reset vector: jmp to the first byte.
  rom.set([0xe9, (-0xfff3) & 0xff, (-0xfff3 >> 8) & 0xff], 0xfff0)
  return rom
}
