/** The interactive shell, through a terminal. */
import { expect, it } from 'vitest'
import { CLI, inTerminal, PROMPT, start } from './support.ts'

const CTRL_A = '\x01'

it('a session: window size, UTF-8, signals, help, and poweroff', async () => {
  const session = inTerminal([])
  await session.wait('Ctrl-A X leaves the machine, Ctrl-A H shows help.')
  await session.wait('Linux version')
  await session.wait(PROMPT)
  session.type('stty size; tty; echo $TERM\r')
  await session.wait(/33 101\r\n\/dev\/ttyS0\r\nxterm-256color\r\n/)
  await session.wait(PROMPT)
  // The line discipline's echo, and its erasing of whole characters; busybox's own line editor knows few of them.
  // What is typed before the shell has given up its own modes would be taken as in those.
  session.type('echo on; cat\r')
  await session.wait('\r\non\r\n')
  session.type('grüße € 😀\r')
  await session.wait('grüße € 😀\r\ngrüße € 😀\r\n')
  session.type('x€\x7f\x7fy\r')
  await session.wait(/\r\ny\r\n/)
  session.type('\x04')
  await session.wait(PROMPT)
  session.type('echo on; sleep 1000\r')
  await session.wait('\r\non\r\n')
  session.type('\x03')
  await session.wait(PROMPT)
  session.type(`${CTRL_A}h`)
  await session.wait('Ctrl-A X')
  session.type('echo on; cat -v\r')
  await session.wait('\r\non\r\n')
  session.type(`${CTRL_A}a\r`)
  await session.wait('^A\r\n^A\r\n')
  session.type('\x04')
  await session.wait(PROMPT)
  session.type('poweroff\r')
  await session.wait('reboot: Power down')
  await session.wait('[status 0, terminal same]')
  expect((await session.ended).status).toBe(0)
})

it('reboot starts the guest again, and Ctrl-A X leaves with status 0', async () => {
  const session = inTerminal(['--quiet', '--harts', '2'])
  await session.wait(PROMPT)
  session.type('touch /root/was-here; reboot\r')
  // The kernel's last word: what init says before it may not get out any more.
  await session.wait('reboot: Restarting system')
  await session.wait(PROMPT)
  session.type('ls /root | wc -l; echo up $((6*7)) $(nproc)\r')
  await session.wait('\r\n0\r\nup 42 2\r\n')
  session.type(`${CTRL_A}x`)
  await session.wait('[status 0, terminal same]')
})

it('the terminal is given back after a signal, and after an error', async () => {
  const session = inTerminal(['--quiet'])
  await session.wait(PROMPT)
  session.type('echo ready\r')
  await session.wait('\r\nready\r\n')
  // The process that has the terminal is the child of script's shell. Others run the like of it.
  const child = async (pid: string): Promise<string> => (await start('pgrep', ['-P', pid], { input: '' }).ended).stdout.toString().trim()
  process.kill(Number(await child(await child(String(session.pid)))), 'SIGTERM')
  await session.wait('[status 143, terminal same]')
  const wrong = inTerminal(['--kernel', '/nonexistent'])
  // On a terminal the name of the program has a colour.
  await wrong.wait(/machinist:(\x1b\[0m)? --kernel: there is no such file/)
  await wrong.wait('[status 1, terminal same]')
})

it('without a terminal, a pipe is the keyboard, Ctrl-A included', async () => {
  const machine = start(process.execPath, [CLI, 'run', '--quiet'])
  await machine.wait(PROMPT)
  machine.type('echo piped $((6*7))\n')
  await machine.wait('\r\npiped 42\r\n')
  machine.type('poweroff -f\n')
  expect(await machine.ended).toMatchObject({ status: 0, stderr: '' })
})
