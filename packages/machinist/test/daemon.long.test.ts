/** The hypervisor in the background, with a guest that has a disk: it goes on after the hypervisor was stopped, and is off after that was killed. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { virt } from '@machinist/boards'
import { connectDaemon, type DaemonClient, startDaemon } from '@machinist/host-node'
import type { MachineDefinition } from '@machinist/machine'
import { expect, it } from 'vitest'
import { guestCommandLine, prepareGuest } from '../src/index.ts'
import { blank, CLI, scratch, start } from './support.ts'

const PROMPT = '~# '

let asked = 0

/** A console. What its machine said before has come already, and is passed over. */
async function consoleOf(client: DaemonClient, name: string): Promise<{ readonly before: string; wait(what: string): Promise<string>; ask(line: string): Promise<string> }> {
  let text = ''
  let from = 0
  let look = (): void => {}
  const console = await client.console(name, { output: (bytes) => { text += Buffer.from(bytes).toString('latin1'); look() }, closed() {} })
  const wait = (what: string): Promise<string> => new Promise((resolve) => {
    look = () => {
      const at = text.indexOf(what, from)
      if (at < 0) return
      const before = text.slice(from, at)
      from = at + what.length
      look = () => {}
      resolve(before)
    }
    look()
  })
  from = text.length
  return {
    before: text,
    wait,
    async ask(line) {
      const mark = `<${++asked}>`
      // The line itself comes back too.
      console.write(Buffer.from(`${line}; echo "<"${asked}">"\n`))
      return wait(mark)
    },
  }
}

/** Waits until a process has gone. */
async function gone(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 0)
    } catch {
      return
    }
    await new Promise((resolve) => { setTimeout(resolve, 20) })
  }
}

async function guest(disk: string): Promise<MachineDefinition> {
  const { kernel, initrd } = await prepareGuest()
  const { definition } = virt({ memory: 256 << 20, kernel: new Uint8Array(1), append: guestCommandLine({ console: 'ttyS0', quiet: true }), disks: [{ type: 'disk', path: disk }], console: 'console' })
  return { ...definition, boot: { ...definition.boot, protocol: 'riscv', kernel: { file: kernel }, initrd: { file: initrd } } as NonNullable<MachineDefinition['boot']> }
}

it('a guest goes on where it was when the hypervisor was stopped, and is found when that was killed', async () => {
  const folder = scratch()
  mkdirSync(join(folder, 'state'))
  const paths = { socket: join(folder, 's'), state: join(folder, 'state') }
  const env = { MACHINIST_SOCKET: paths.socket, MACHINIST_STATE: paths.state }
  const command: [string, ...string[]] = [process.execPath, CLI, 'daemon', 'run']
  const machinist = (...args: string[]): ReturnType<typeof start> => start(process.execPath, [CLI, ...args], { env })

  expect(await machinist('daemon', 'status').ended).toMatchObject({ status: 3, stderr: expect.stringContaining('none runs in the background') as string })
  const first = await startDaemon({ command, paths })
  await first.add({ name: 'one', machine: await guest(blank(join(folder, 'disk.img'), 1 << 20)), pool: '' })
  await first.start('one')
  const before = await consoleOf(first, 'one')
  await before.wait(PROMPT)
  await before.ask('X=precious; echo on-disk > /dev/vda; sync')
  const { pid } = await first.status()
  await first.shutDown()
  await gone(pid)

  const second = await startDaemon({ command, paths })
  // What is typed before it runs is lost.
  while ((await second.machines())[0]?.state !== 'running') await new Promise((resolve) => { setTimeout(resolve, 50) })
  const after = await consoleOf(second, 'one')
  expect(after.before).toContain(PROMPT)
  expect(await after.ask('echo "[$X]" $(head -n 1 /dev/vda)')).toContain('[precious] on-disk')
  await after.ask('echo later > /dev/vda; sync')
  expect((await machinist('daemon', 'status').ended).stdout.toString()).toMatch(/1 machines, 1 of them running; 2 clients\n/)
  const { pid: killed } = await second.status()
  process.kill(killed, 'SIGKILL')
  await second.closed
  await gone(killed)

  const third = await startDaemon({ command, paths })
  expect((await third.machines()).map(({ state }) => state)).toEqual(['created'])
  expect((await machinist('daemon', 'status').ended).stdout.toString()).toContain('found: one: it was running when the hypervisor ended without notice')
  const anew = await consoleOf(third, 'one')
  await third.start('one')
  await anew.wait(PROMPT)
  expect(await anew.ask('echo "[$X]" $(head -n 1 /dev/vda)')).toContain('[] later')
  expect(await machinist('daemon', 'stop', '--off').ended).toMatchObject({ status: 0 })
  await third.closed
  await expect(connectDaemon(paths)).rejects.toMatchObject({ code: 'daemon-off' })
})
