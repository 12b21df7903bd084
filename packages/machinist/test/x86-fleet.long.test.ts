/** Machines of three instruction sets in one file: the hypervisor in the background runs them side by side, and they reach each other. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { CLI, PATIENCE, PROMPT, scratch, start } from './support.ts'

const NAMES = ['risc', 'pc', 'old'] as const
type Name = typeof NAMES[number]

it('machines for riscv64, x86_64 and i386 share one host and one network', async () => {
  const folder = scratch()
  const machine = { memory: '128M', net: 'nat,switch=lan', append: 'quiet' }
  writeFileSync(join(folder, 'machines.json'), JSON.stringify({ machines: { risc: machine, pc: { ...machine, arch: 'x86_64', disk: ['disks,disk=data'], vsock: 'sockets' }, old: { ...machine, arch: 'i386' } } }))
  const env = { MACHINIST_SOCKET: join(folder, 'run', 'h.sock'), MACHINIST_STATE: join(folder, 'state') }
  const begin = (...args: string[]): ReturnType<typeof start> => start(process.execPath, [CLI, ...args], { env, cwd: folder })
  const command = async (...args: string[]): Promise<string> => {
    const { status, stdout, stderr } = await begin(...args).ended
    expect(status, stderr).toBe(0)
    return stdout.toString()
  }
  await command('datastore', 'create', 'disks')
  await command('datastore', 'add', 'disks', 'data', '16M')
  await command('daemon', 'start', '--processors', '2')
  await command('up', '-d', 'machines.json')
  try {
    const consoles = new Map(NAMES.map((name) => [name, begin('console', name)]))
    const ask = async (name: Name, words: string): Promise<string> => {
      const console = consoles.get(name)
      if (console === undefined) throw new Error(name)
      const from = console.text().length
      console.type(`echo '[be''gin]'; ${words}; echo '[do''ne]'\n`)
      await console.wait('[done]')
      const text = console.text().slice(from).replaceAll('\r', '')
      return text.slice(text.indexOf('[begin]') + '[begin]'.length, text.lastIndexOf('[done]')).trim()
    }
    for (const name of NAMES) {
      consoles.get(name)?.type('\n')
      await consoles.get(name)?.wait(PROMPT)
    }
    expect([await ask('risc', 'uname -m'), await ask('pc', 'uname -m'), await ask('old', 'uname -m')]).toEqual(['riscv64', 'x86_64', 'i686'])
    const address = /inet ([0-9.]+)/.exec(await ask('risc', 'ip -4 -o addr show dev eth0'))?.[1] ?? 'none'
    for (const name of ['pc', 'old'] as const) expect(await ask(name, `ping -c 1 -W 60 ${address} | grep -o '1 packets received'`)).toBe('1 packets received')
    const rows = await command('ps')
    for (const name of NAMES) expect(rows).toMatch(new RegExp(`^${name} +running `, 'm'))
    await command('set', 'pc', 'cpu.shares=2000')
    // To another processor and back, with its disk and its sockets.
    for (const processor of ['1', '0']) {
      await command('move', 'pc', processor)
      expect(await ask('pc', `echo on ${processor} >/dev/vda; sync; echo 3 >/proc/sys/vm/drop_caches; head -n 1 /dev/vda; ping -c 1 -W 60 ${address} | grep -o '1 packets received'`)).toBe(`on ${processor}\n1 packets received`)
    }
    // The power button is ACPI's there, and an input device elsewhere.
    await command('stop', '--within', '600', 'pc', 'risc')
    expect(await command('ps')).toMatch(/^old +running /m)
  } finally {
    await command('down', 'machines.json')
    await command('down')
  }
}, PATIENCE)
