import { PassThrough } from 'node:stream'
import { expect, it } from 'vitest'
import { fakeHypervisor, SPEC } from '../../test/fleet/fake-hypervisor.ts'
import { type ConsoleTerminal, runConsole, runLogs } from './console.ts'

/** A terminal that a test types at. */
function testTerminal(isTTY: boolean): ConsoleTerminal & { readonly input: PassThrough; readonly modes: boolean[]; text(): string } {
  const modes: boolean[] = []
  const input = Object.assign(new PassThrough(), { isTTY, setRawMode(raw: boolean) { modes.push(raw) } })
  const output = new PassThrough()
  let text = ''
  output.on('data', (bytes: Buffer) => { text += bytes.toString() })
  // Of a terminal's stream, nothing else is used.
  return { input: input as never, output, modes, text: () => text }
}

async function until(what: () => boolean): Promise<void> {
  while (!what()) await new Promise((resolve) => { setImmediate(resolve) })
}

it('connects a terminal with a console, until Ctrl-A D, and gives the terminal back', async () => {
  const hypervisor = fakeHypervisor()
  await hypervisor.add({ name: 'web', machine: SPEC })
  await hypervisor.start('web')
  hypervisor.say('web', 'said before\r\n')
  const terminal = testTerminal(true)
  const left = runConsole(hypervisor, 'web', terminal)
  await until(() => terminal.text().includes('Ctrl-A X leaves'))
  expect(terminal.text()).toContain('said before')
  terminal.input.write('ls\r\x03\x01a')
  await until(() => hypervisor.typed['web'] === 'ls\r\x03\x01')
  terminal.input.write('\x01h')
  await until(() => terminal.text().includes('the machine goes on'))
  hypervisor.say('web', 'x'.repeat(300_000))
  await until(() => terminal.text().includes('x'.repeat(300_000)))
  hypervisor.end('web', 0)
  await until(() => terminal.text().includes('[web: off]'))
  terminal.input.write('\x01d')
  await left
  expect(terminal.modes).toEqual([true, false])
  hypervisor.say('web', 'not any more')
  expect(terminal.text()).not.toContain('not any more')
})

it('takes input that is no terminal, and ends when the machine is off', async () => {
  const hypervisor = fakeHypervisor()
  await hypervisor.add({ name: 'web', machine: SPEC })
  await hypervisor.start('web')
  const terminal = testTerminal(false)
  const left = runConsole(hypervisor, 'web', terminal)
  terminal.input.end('poweroff\n\x01x')
  await until(() => hypervisor.typed['web'] === 'poweroff\n\x01x')
  hypervisor.say('web', 'bye')
  hypervisor.end('web', 0)
  await left
  expect(terminal.text()).toBe('bye')
})

it('ends when the machine is forgotten, and refuses one that is not known', async () => {
  const hypervisor = fakeHypervisor()
  await hypervisor.add({ name: 'web', machine: SPEC })
  const terminal = testTerminal(true)
  const left = runConsole(hypervisor, 'web', terminal)
  await until(() => terminal.text().includes('which is created'))
  await hypervisor.remove('web')
  await left
  await expect(runConsole(hypervisor, 'web', testTerminal(true))).rejects.toMatchObject({ code: 'machine-unknown' })
})

it('logs are the last output, and with follow what comes then', async () => {
  const hypervisor = fakeHypervisor()
  await hypervisor.add({ name: 'web', machine: SPEC })
  hypervisor.say('web', 'before ')
  let text = ''
  const write = (bytes: Uint8Array): void => { text += new TextDecoder().decode(bytes) }
  await runLogs(hypervisor, 'web', false, write, Promise.resolve())
  hypervisor.say('web', 'between ')
  expect(text).toBe('before ')
  text = ''
  let end: () => void = () => {}
  const ended = runLogs(hypervisor, 'web', true, write, new Promise((resolve) => { end = resolve }))
  await until(() => text !== '')
  hypervisor.say('web', 'after')
  end()
  await ended
  expect(text).toBe('before between after')
})
