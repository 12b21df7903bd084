/** `machinist run --snapshots` and `machinist snapshot`, as their users type them. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { blank, CLI, inTerminal, PROMPT, scratch, start } from './support.ts'

/** Runs a command to its end. */
async function machinist(...args: readonly string[]): Promise<{ readonly status: unknown; readonly stdout: string; readonly stderr: string }> {
  const { status, stdout, stderr } = await start(process.execPath, [CLI, ...args]).ended
  return { status, stdout: stdout.toString(), stderr }
}

it('a machine goes back to its snapshots, with its files and its disk, and others ask for some while it runs', async () => {
  const folder = scratch()
  const [vm, disk] = [join(folder, 'vm'), blank(join(folder, 'disk.img'), 16 << 20)]
  const terminal = inTerminal(['--quiet', '--snapshots', vm, '--disk', disk])
  await terminal.wait(PROMPT)
  terminal.type('echo first > /tmp/note; echo first > /dev/vda; sync\r')
  await terminal.wait(PROMPT)
  terminal.type('\x01t')
  const first = /snapshot ([\d: -]+)\./.exec(await terminal.wait(/Took the snapshot [\d: -]+\./))?.[1] ?? ''
  terminal.type('echo second > /tmp/note; echo second > /dev/vda; sync\r')
  await terminal.wait(PROMPT)
  expect(await machinist('snapshot', 'take', vm, 'second one')).toMatchObject({ status: 0, stderr: 'Took second one.\n' })
  expect((await machinist('snapshot', 'take', vm, 'second one')).stderr).toContain('there is a snapshot of this name')
  expect((await machinist('snapshot', 'revert', vm, 'second one'))).toMatchObject({ status: 1 })
  terminal.type('echo third > /tmp/note; echo third > /dev/vda; sync\r')
  await terminal.wait(PROMPT)
  terminal.type('\x01x')
  await terminal.wait('[status 0, terminal same]')
  const { stdout } = await machinist('snapshot', 'list', vm)
  expect(stdout.split('\n').map((line) => line.replace(/ {2,}.*/, '')).join()).toMatch(/^└─ \d{4}-\d\d-\d\d \d\d:\d\d:\d\d,/)
  expect(stdout).toMatch(/└─ second one +\d{4}-.* running +[\d.]+ [KM]iB/)
  const list = JSON.parse((await machinist('snapshot', 'list', vm, '--json')).stdout) as { readonly snapshots: readonly { readonly name: string }[]; readonly current: { readonly parent: string } }
  expect(list.snapshots.map(({ name }) => name)).toEqual([first, 'second one'])
  expect(list.current.parent).toBe('second one')
  const again = async (said: string): Promise<void> => {
    const machine = start(process.execPath, [CLI, 'run', '--snapshots', vm])
    machine.type("cat /tmp/note; head -c 6 /dev/vda; echo do''ne\n")
    // The file in its memory, and the disk.
    await machine.wait(said)
    await machine.wait(said)
    await machine.wait('done')
    machine.type('poweroff\n')
    expect(await machine.ended).toMatchObject({ status: 0 })
  }
  for (const [name, said] of [[first, 'first'], ['second one', 'second'], [first, 'first']] as const) {
    expect(await machinist('snapshot', 'revert', vm, name)).toMatchObject({ status: 0 })
    await again(said)
  }
  expect(await machinist('snapshot', 'delete', vm, first)).toMatchObject({ status: 0 })
  expect(await machinist('snapshot', 'revert', vm, 'second one')).toMatchObject({ status: 0 })
  await again('second')
  expect((await machinist('run', '--snapshots', vm, '--harts', '2'))).toMatchObject({ status: 2 })
  expect((await machinist('snapshot', 'revert', vm, first)).stderr).toContain('Use one of second one')
})
