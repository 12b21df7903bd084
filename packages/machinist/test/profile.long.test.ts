/** A profile of Debian's boot, with the kernel's own names. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { CpuProfile } from '../src/profile/index.ts'
import { CLI, inGuest, scratch, start } from './support.ts'

it('shows the kernel start, its threads, and idleness', async () => {
  const folder = scratch()
  const [names, out] = [join(folder, 'kallsyms'), join(folder, 'boot.cpuprofile')]
  writeFileSync(names, (await inGuest('cat /proc/kallsyms')).stdout)
  const { status, stdout, stderr } = await start(process.execPath, [CLI, 'profile', '--harts', '2', '--symbols', names, '--out', out, '--exec', 'sleep 1; echo done'], { input: '' }).ended
  expect({ status, stdout: stdout.toString() }).toEqual({ status: 0, stdout: 'done\n' })
  expect(stderr).toMatch(/^machinist: .*boot\.cpuprofile: [\d.]+ s, \d+ samples\n/)
  const profile = JSON.parse(readFileSync(out, 'utf8')) as CpuProfile
  const total = profile.endTime - profile.startTime
  /** The part of the time that was spent in a function or what it called, whoever called it. */
  const part = (name: string): number => {
    const within = new Set<number>()
    const go = (id: number, inside: boolean): void => {
      const { callFrame, children } = profile.nodes[id - 1] ?? { callFrame: { functionName: '' }, children: [] }
      const here = inside || callFrame.functionName === name
      if (here) within.add(id)
      for (const child of children) go(child, here)
    }
    go(1, false)
    return profile.samples.reduce((sum, id, index) => sum + (within.has(id) ? profile.timeDeltas[index + 1] ?? 0 : 0), 0) / total
  }
  expect(part('hart 0') + part('hart 1') + part('(idle)') + part('(host)')).toBeGreaterThan(0.999)
  // How much, depends on how busy the host is: the guest's second of sleep is one of the host.
  for (const name of ['start_kernel', 'kernel_init', 'kthread', '(idle)']) expect(part(name), name).toBeGreaterThan(0.001)
  expect(part('ret_from_fork')).toBeGreaterThan(part('kernel_init') + part('kthread') - 0.01)
})
