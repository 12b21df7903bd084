/** `machinist run --save` and `machinist restore`, as their users type them. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { CLI, inTerminal, PROMPT, scratch, start } from './support.ts'

it('Ctrl-A S saves the machine and ends it, and it goes on as often as it is restored', async () => {
  const file = join(scratch(), 'a.snapshot')
  const terminal = inTerminal(['--quiet', '--save', file])
  await terminal.wait(PROMPT)
  terminal.type('echo kept > /tmp/note\r')
  await terminal.wait(PROMPT)
  terminal.type('\x01s')
  await terminal.wait('Saved into')
  await terminal.wait('[status 0, terminal same]')
  for (let i = 0; i < 2; i++) {
    const again = start(process.execPath, [CLI, 'restore', file])
    again.type("cat /tmp/note; echo le''ft\n")
    await again.wait('kept')
    await again.wait('left')
    again.type('poweroff\n')
    expect(await again.ended).toMatchObject({ status: 0 })
  }
  expect(existsSync(file)).toBe(true)
})

it('a file of another kind is refused', async () => {
  const file = join(scratch(), 'b.snapshot')
  writeFileSync(file, 'nothing of that sort')
  const { status, stderr } = await start(process.execPath, [CLI, 'restore', file]).ended
  expect(status).toBe(1)
  expect(stderr).toContain('not a snapshot of a machine')
})
