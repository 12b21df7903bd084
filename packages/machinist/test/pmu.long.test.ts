/** Performance counters of the built-in SBI, as Linux's driver shows them to programs. Needs riscv64-linux-gnu-gcc. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { virt } from '@machinist/boards'
import { concatInitrds, cpio } from '@machinist/boot'
import { nodeHost, readWhole, stream } from '@machinist/host-node'
import { createMachine } from '@machinist/machine'
import { afterAll, expect, it } from 'vitest'
import { execRequest, guestCommandLine, prepareGuest } from '../src/guest/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'machinist-pmu-'))
afterAll(() => { rmSync(folder, { recursive: true, force: true }) })

it('count instructions, cycles and fences for Linux, and say what there is not', async () => {
  const guest = await prepareGuest()
  const program = join(folder, 'perf')
  execFileSync('riscv64-linux-gnu-gcc', ['-O1', '-static', '-pthread', '-o', program, fileURLToPath(new URL('guest-programs/perf.c', import.meta.url))])
  const request = execRequest('dmesg | grep -o "SBI PMU extension is available"; perf')
  let [out, err] = ['', '']
  const output = request.output({ stdout: (piece) => { out += Buffer.from(piece).toString() }, stderr: (piece) => { err += Buffer.from(piece).toString() }, exit() {} })
  const machine = createMachine(virt({
    harts: 2, kernel: readWhole(guest.kernel, 'kernel'),
    initrd: concatInitrds([readWhole(guest.initrd, 'initrd'), cpio().file('bin/perf', readWhole(program, 'perf'), 0o755).toBytes(), request.initrd]),
    // However busy the host is, the kernel has no more to do beside the program.
    time: { instructionsPerSecond: 200_000_000 },
    append: guestCommandLine({ console: 'ttyS0', quiet: true }), console: stream({ output: (piece) => { output.push(piece) } }),
  }), nodeHost())
  machine.start()
  const { error } = await machine.finished()
  machine.dispose()
  expect({ error, status: output.status, err }).toEqual({ error: null, status: 0, err: 'misses: No such file or directory\n' })
  const [first, ...lines] = out.trim().split('\n')
  expect(first).toBe('SBI PMU extension is available')
  const counts = lines.map((line) => line.split(' '))
  expect(counts.map(([name, , state]) => `${name} ${state}`)).toEqual(['instructions stopped', 'cycles stopped', 'instructions stopped', 'fences stopped'])
  const [instructions, cycles, again, fences] = counts.map(([, value]) => Number(value))
  // A million times two or three instructions, and what the kernel does meanwhile.
  for (const value of [instructions, cycles, again]) {
    expect(value).toBeGreaterThanOrEqual(2_000_000)
    expect(value).toBeLessThan(6_000_000)
  }
  expect(fences).toBeGreaterThanOrEqual(100)
  expect(fences).toBeLessThan(1000)
})
