import { Interpreter } from '../../src/index.ts'
import { Assembler, DS, EAX, ES, SS } from './assembler.ts'
import { at, MEMORY, selector } from './layout.ts'

/** Runs an image here, from real-address mode by way of the protected mode that multiboot starts in; returns its log. */
export function runHere(image: Uint8Array, limit = 200_000_000): Uint8Array {
  const answer: number[] = []
  const cpu = new Interpreter({ mode: 16, base: 0n, size: MEMORY, ports: { read: () => 0xffff_ffff, write: (port, _bytes, value) => void (port === 0xe9 && answer.push(value & 255)) } })
  cpu.memory.set(image, at.image)
  // lgdt [0x600]; mov eax, 0x11; mov cr0, eax; jmp code0:0x7c20
  cpu.memory.set([0x66, 0x0f, 0x01, 0x16, 0x00, 0x06, 0x66, 0xb8, 0x11, 0, 0, 0, 0x0f, 0x22, 0xc0, 0x66, 0xea, 0x20, 0x7c, 0, 0, selector.code0, 0], 0x7c00)
  const flat = new Assembler(0x7c20).set(EAX, selector.data0)
  for (const segment of [DS, ES, SS]) flat.segment(segment, EAX)
  cpu.memory.set(flat.jump(at.image + 0x40).bytes, 0x7c20)
  cpu.memory.set([0xff, 1, at.gdt & 255, at.gdt >> 8 & 255, at.gdt >> 16, 0], 0x600)
  cpu.rip = 0x7c00n
  for (let steps = 0; steps < limit; steps++) {
    const step = cpu.step()
    if (step.kind === 'done') continue
    if (step.kind === 'halted') return Uint8Array.from(answer)
    // What was logged until then.
    if (step.kind === 'shutdown' || cpu.deliver(step).kind === 'shutdown') return cpu.memory.slice(at.log, new DataView(cpu.memory.buffer, cpu.memory.byteOffset).getUint32(at.pointers + 0x20, true))
  }
  throw new Error(`it did not end; rip is ${cpu.rip.toString(16)}`)
}
