import { COMMON_OPTIONS, type CommandInfo } from '../command-line/table.ts'

/** Options of `machinist translate`, besides those of every command. */
export const TRANSLATE_OPTIONS = {
  at: {
    type: 'string',
    forms: [['ADDRESS', 'where to begin: a hexadecimal address, or a symbol of an ELF file. The code that can be reached from there in its page of 4 KiB is translated.']],
  },
  arch: { type: 'string', offers: ['riscv64', 'x86_64', 'i386'], forms: [['riscv64|x86_64|i386', 'what a flat file is for: RISC-V unless given; an ELF file says it']] },
  base: { type: 'string', forms: [['ADDRESS', 'where a flat file lies; 0x80000000, or what an Image says with RAM there; for x86 0x100000']] },
  instructions: { type: 'string', forms: [['N', 'translate no more than N instructions; 250, and on to the next jump']] },
  wasm: { type: 'string', offers: 'file', forms: [['PATH', 'write the WebAssembly module there']] },
} as const

export const TRANSLATE_COMMAND: CommandInfo = {
  name: 'translate',
  summary: 'show how guest code becomes WebAssembly',
  usage: [['FILE --at ADDRESS [options]', 'FILE is an ELF file for RISC-V or x86, a Linux Image or a flat binary']],
  groups: [{ title: 'Options', options: { ...TRANSLATE_OPTIONS, ...COMMON_OPTIONS } }],
  offers: 'file',
  examples: ['program.elf --at main --instructions 40'],
}
