import type { X86BootPlan } from '@machinist/boot'

/** Where the parts of a plan wait, above what they are for. */
const STAGE = 0x2000_0000

/**
 * A planned start as a multiboot file, for machines whose firmware knows no other: a stub copies everything to its place, and begins as the plan says. Memory must reach
 * beyond 512 MiB, and what is planned must lie below.
 */
export function stubImage({ segments, start }: X86BootPlan): Uint8Array {
  if (start.kind === 'reset') throw new Error('nothing to begin with')
  const code: number[] = []
  const word = (value: number): number[] => [value & 0xff, value >>> 8 & 0xff, value >>> 16 & 0xff, value >>> 24]
  const header = [...word(0x1bad_b002), ...word(0), ...word(-0x1bad_b002)]
  let staged = STAGE + 4096
  const parts: { readonly at: number; readonly bytes: Uint8Array }[] = []
  for (const { address, bytes } of segments) {
    if (address + bytes.length > STAGE) throw new Error(`a part at 0x${address.toString(16)} is too high for the stub`)
    // cld; mov esi, …; mov edi, …; mov ecx, …; rep movsb
    code.push(0xfc, 0xbe, ...word(staged), 0xbf, ...word(address), 0xb9, ...word(bytes.length), 0xf3, 0xa4)
    parts.push({ at: staged, bytes })
    staged += Math.ceil(bytes.length / 16) * 16
  }
  const gdtr = STAGE + 2048
  // lgdt [gdtr]
  code.push(0x0f, 0x01, 0x15, ...word(gdtr))
  const segmentRegisters = [0xb8, ...word(0x18), 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0]
  if (start.kind === 'linux64') {
    // mov eax, pages; mov cr3, eax; mov eax, 0x20; mov cr4, eax; mov ecx, EFER; rdmsr; or eax, LME; wrmsr; mov eax, cr0; or eax, PG; mov cr0, eax
    code.push(0xb8, ...word(start.pages), 0x0f, 0x22, 0xd8, 0xb8, ...word(0x20), 0x0f, 0x22, 0xe0, 0xb9, ...word(0xc000_0080), 0x0f, 0x32, 0x0d, ...word(0x100), 0x0f, 0x30)
    code.push(0x0f, 0x20, 0xc0, 0x0d, ...word(0x8000_0000), 0x0f, 0x22, 0xc0, ...segmentRegisters, 0xbe, ...word(start.parameters))
  } else code.push(...segmentRegisters, 0xb8, ...word(start.eax), 0xbb, ...word(start.ebx), 0xbe, ...word(start.esi))
  // jmp 0x10:pc
  code.push(0xea, ...word(start.pc), 0x10, 0)
  const low = new Uint8Array(4096)
  low.set([...header, ...code])
  low.set([start.gdt.limit & 0xff, start.gdt.limit >>> 8, ...word(start.gdt.base)], gdtr - STAGE)
  return elf32(STAGE + header.length, [{ at: STAGE, bytes: low }, ...parts])
}

/** An executable of 32 bits for x86. */
function elf32(entry: number, parts: readonly { readonly at: number; readonly bytes: Uint8Array }[]): Uint8Array {
  const headers = 4096
  const size = parts.reduce((sum, { bytes }) => sum + Math.ceil(bytes.length / 16) * 16, headers)
  const file = new Uint8Array(size)
  const view = new DataView(file.buffer)
  file.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1])
  for (const [at, value] of [[16, 2], [18, 3], [40, 52], [42, 32], [44, parts.length]] as const) view.setUint16(at, value, true)
  for (const [at, value] of [[20, 1], [24, entry], [28, 52]] as const) view.setUint32(at, value, true)
  let offset = headers
  for (const [index, { at, bytes }] of parts.entries()) {
    for (const [field, value] of [1, offset, at, at, bytes.length, bytes.length, 7, 16].entries()) view.setUint32(52 + 32 * index + 4 * field, value, true)
    file.set(bytes, offset)
    offset += Math.ceil(bytes.length / 16) * 16
  }
  return file
}
