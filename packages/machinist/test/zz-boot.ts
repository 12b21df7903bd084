import { readFileSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
;(globalThis as never as { UNPACK: unknown }).UNPACK = (packing: string, bytes: Uint8Array) => execFileSync(packing === 'zstd' ? 'zstd' : 'xz', ['-dcq', ...packing === 'zstd' ? [] : ['--single-stream']], { input: bytes, maxBuffer: 1 << 30 })
import { microvm } from '@machinist/boards'
import { createMachine } from '@machinist/machine'
import { collector, nodeHost } from '@machinist/host-node'
const append = process.argv[2] ?? 'console=ttyS0 earlycon=uart8250,io,0x3f8'
const seconds = Number(process.argv[3] ?? 60)
const console1 = collector()
const blueprint = microvm({
  model: (process.env['MODEL'] ?? 'x86-64') as never, memory: 256 * 2 ** 20, kernel: readFileSync(process.env['KERNEL']!), append, console: console1, initrd: readFileSync(process.env['INITRD']!), ...(process.env['IPS'] ? { time: { instructionsPerSecond: Number(process.env['IPS']) } } : {}),
})
const machine = createMachine(blueprint, nodeHost())
let told = 0
const tell = () => { const t = console1.text(); process.stdout.write(t.slice(told)); told = t.length }
setInterval(tell, 500)
machine.start()
const began = Date.now()
setInterval(() => {
  const t = (Date.now() - began) / 1000
  process.stderr.write(`[${t.toFixed(0)} s] retired ${machine.stats.retired} ${JSON.stringify((machine as never as { sample?: unknown }).sample ?? '')}\n`)
  if (t > seconds) process.exit(0)
}, 5000)
machine.finished().then((how: unknown) => { console.error('finished', how); tell(); process.exit(0) }, (error: unknown) => { console.error('failed', error); process.exit(1) })
