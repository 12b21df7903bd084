/** What cannot be: one line that says what is wrong, the right status, and no waiting. */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { virt } from '@machinist/boards'
import { expect, it } from 'vitest'
import { prepareGuest } from '../src/index.ts'
import { machinist, scratch, start } from './support.ts'

const folder = scratch()
const file = (name: string, content: string | Uint8Array): string => {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}
const at = (name: string): string => join(folder, name)

mkdirSync(at('directory'))
file('empty', '')
file('garbage', Uint8Array.from({ length: 100_000 }, (_, index) => Math.imul(index, 0x9e3779b1) >>> 24))
const machine = (change: (definition: Record<string, unknown>) => void): string => {
  const definition = JSON.parse(JSON.stringify(virt({ kernel: { file: 'garbage' } }).definition)) as Record<string, unknown>
  change(definition)
  return JSON.stringify(definition)
}
const devices = (definition: Record<string, unknown>): Record<string, Record<string, unknown>> => definition['devices'] as Record<string, Record<string, unknown>>
file('not.json', '{ "version": 1,')
file('wrong.json', machine((definition) => { definition['name'] = 7 }))
file('garbage.json', machine(() => undefined))
file('overlap.json', machine((definition) => { devices(definition)['rtc'] = { kind: 'goldfish-rtc', at: 0x1000_0080 } }))
file('ram.json', machine((definition) => { devices(definition)['rtc'] = { kind: 'goldfish-rtc', at: 0x8000_0000 } }))
file('kind.json', machine((definition) => { devices(definition)['rtc'] = { kind: 'no-such-thing' } }))
file('irq.json', machine((definition) => { devices(definition)['rtc'] = { kind: 'goldfish-rtc', irq: 4096 } }))
file('missing.json', machine((definition) => { definition['boot'] = { protocol: 'riscv', kernel: { file: 'nothing' } } }))
file('broken.mjs', 'export default {')
file('throws.mjs', 'throw new Error("on purpose")')
file('nothing.mjs', 'export const other = 1')

const REFUSALS: readonly (readonly [args: readonly string[], status: number, message: RegExp])[] = [
  [['--kernel', at('missing')], 1, /^--kernel: there is no such file/],
  [['--kernel', at('directory')], 1, /^--kernel: it is a directory/],
  [['--kernel', at('empty')], 1, /^--kernel: it is empty/],
  [['--kernel', at('garbage')], 1, /^kernel: neither a Linux kernel Image nor RISC-V code/],
  [['--initrd', at('missing')], 1, /^--initrd: there is no such file/],
  [['--firmware', at('directory')], 1, /^--firmware: it is a directory/],
  [['--disk', at('directory'), '--exec', 'true'], 1, /^--disk: it is a directory/],
  [['--disk', `${at('missing')},ro`], 1, /^--disk: there is no such file/],
  [['--disk', at('empty')], 1, /^--disk: the image has no bytes/],
  [['--disk', '/dev/null'], 1, /^--disk: it is not a regular file/],
  [['--memory', '99T'], 2, /^memory: out of range/],
  [['--memory', '16M'], 1, /^memory: too little for a kernel of \d+ MiB and an initrd of \d+ MiB.*at least \d+M/],
  [['--console', 'tty0'], 2, /^--console: there is no such choice \(tty0\). Use ttyS0 or hvc0/],
  [['--memory', '12 apples'], 2, /^--memory: not a size/],
  [['--memory', '-1'], 2, /^--memory: /],
  [['--harts', '9'], 2, /^--harts: not a number of harts/],
  [['--no-such-flag'], 2, /^--no-such-flag: no such option/],
  [['--exec', ''], 2, /^--exec: there is no command/],
  [['--exec', 'true', '--kernel', at('garbage')], 2, /^--exec: /],
  [[at('nothing.json')], 1, /^machine file: there is no such file/],
  [[at('garbage')], 1, /not a machine file/],
  [[at('not.json')], 1, /is not JSON/],
  [[at('wrong.json')], 1, /name/],
  [[at('garbage.json')], 1, /^kernel: neither a Linux kernel Image nor RISC-V code/],
  [[at('overlap.json')], 1, /rtc.*uart0|uart0.*rtc/],
  [[at('ram.json')], 1, /rtc.*ram|ram.*rtc/],
  [[at('kind.json')], 1, /^rtc: no such kind of device \(no-such-thing\)/],
  [[at('irq.json')], 1, /rtc.*4096/],
  [[at('missing.json')], 1, /^kernel: there is no such file/],
  [[at('broken.mjs')], 1, /broken\.mjs/],
  [[at('throws.mjs')], 1, /throws\.mjs.*on purpose/],
  [[at('nothing.mjs')], 1, /it exports no machine/],
  [[at('garbage.json'), '--memory', '1G'], 2, /^--memory: the machine file decides this/],
  [[at('garbage.json'), at('garbage.json')], 2, /more than one machine file/],
]

it.concurrent.each(REFUSALS)('%j', async (args, status, message) => {
  const result = await machinist(args)
  expect(result.stdout.toString()).toBe('')
  expect(result.stderr).toMatch(/^machinist: [^\n]+\n$/)
  expect(result.stderr.slice('machinist: '.length)).toMatch(message)
  expect(result.status).toBe(status)
})

it('a kernel that was cut short', async () => {
  const kernel = readFileSync((await prepareGuest()).kernel)
  for (const length of [40, 1_000_000, kernel.length - 4096]) {
    const result = await machinist(['--kernel', file('cut', kernel.subarray(0, length))])
    expect(result.stderr, String(length)).toMatch(/^machinist: kernel: [^\n]*(cut short|too short)[^\n]*\n$/)
    expect(result.status).toBe(1)
  }
})

it.skipIf(process.getuid?.() !== 0)('a file that may not be read, or not be written', async () => {
  const secret = file('secret', 'x'.repeat(1024))
  chmodSync(secret, 0o600)
  const shown = file('shown', 'x'.repeat(1024))
  chmodSync(shown, 0o444)
  chmodSync(folder, 0o755)
  const { CLI } = await import('./support.ts')
  const asNobody = (args: readonly string[]): ReturnType<typeof machinist> =>
    start('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, CLI, 'run', ...args], { input: '' }).ended
  for (const args of [['--kernel', secret], ['--kernel', 'none', '--firmware', shown, '--disk', shown], ['--kernel', 'none', '--firmware', shown, '--disk', `${secret},ro`]]) {
    const result = await asNobody(args)
    expect(result.stderr).toMatch(/^machinist: --(kernel|disk): permission is denied [^\n]+\n$/)
    expect(result.status).toBe(1)
  }
})
