/** `machinist run --save` and `machinist restore`, as their users type them. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { blank, CLI, inTerminal, PROMPT, scratch, start } from './support.ts'

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

it('what was written to an overlay is in the file, and a folder that is open is found again; a plain disk in its place is refused', async () => {
  const folder = scratch()
  const [file, disk, shared] = [join(folder, 'c.snapshot'), blank(join(folder, 'c.img'), 1 << 20), join(folder, 'shared')]
  mkdirSync(shared)
  writeFileSync(join(shared, 'lines'), 'one\ntwo\n')
  const terminal = inTerminal(['--quiet', '--disk', `${disk},overlay,format=raw`, '--share', shared, '--save', file])
  await terminal.wait(PROMPT)
  terminal.type('echo kept >/dev/vda; sync; mkdir -p /mnt; mount -t 9p share /mnt; exec 5</mnt/lines; read line <&5; echo $line-\r')
  await terminal.wait('one-')
  await terminal.wait(PROMPT)
  terminal.type('\x01s')
  await terminal.wait('[status 0, terminal same]')
  expect(readFileSync(disk).every((byte) => byte === 0)).toBe(true)
  const again = start(process.execPath, [CLI, 'restore', file])
  again.type('echo 3 >/proc/sys/vm/drop_caches; head -n 1 /dev/vda; read line <&5; echo $line-\n')
  await again.wait('kept')
  await again.wait('two-')
  again.type('poweroff\n')
  expect(await again.ended).toMatchObject({ status: 0 })
  const { status, stderr } = await start(process.execPath, [CLI, 'restore', file, '--disk', `${disk},format=raw`]).ended
  expect([status, stderr]).toEqual([1, expect.stringContaining('the guest relies on what this backend kept')])
})
