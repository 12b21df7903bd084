/** One machine file of several kinds of guests, on Node.js and on bare metal: the same words are said to the same machines. */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import { guestCommandLine, prepareGuest } from '../src/guest/index.ts'
import { buildMetal } from '../src/metal/build.ts'
import { loadFleet } from '../src/fleet/file/fleet.ts'
import { makeDatastore } from '../src/metal/datastore.ts'
import { metalDisks } from '../src/metal/disks.ts'
import { hardware } from './hardware.ts'
import { blank, CLI, PATIENCE, PROMPT, scratch, start } from './support.ts'

const MiB = 2 ** 20
const NAMES = ['server', 'client', 'loader', 'rogue'] as const
type Name = typeof NAMES[number]
const U_BOOT = '=> '

/** Those who run the machines of the file. */
interface Host {
  /** Types at the console of a machine, and gives what is shown until something is. */
  say(name: Name, text: string, until: string): Promise<string>
  /** A command for all of them. */
  command(text: string): Promise<string>
}

/** What a guest's shell says to a command. */
async function ask({ say }: Host, name: Name, command: string): Promise<string> {
  const text = await say(name, `echo '[be''gin]'; ${command}; echo '[do''ne]'\n`, '[done]')
  return text.slice(text.indexOf('[begin]') + '[begin]'.length, text.lastIndexOf('[done]')).trim()
}

const folder = scratch()
const file = join(folder, 'machines.json')

beforeAll(async () => {
  const rogue = fileURLToPath(new URL('metal/neighbour.c', import.meta.url))
  // One that touches all its memory and then, for ever, what is not there.
  execFileSync('riscv64-unknown-elf-gcc', ['-march=rv64g', '-mabi=lp64', '-mcmodel=medany', '-O2', '-nostdlib', '-nostartfiles', '-ffreestanding', '-ffunction-sections', '-DMODE=6', '-Wl,-Ttext=0x80200000,--section-start=.text.start=0x80200000', '-o', join(folder, 'rogue.elf'), rogue])
  const { kernel, initrd } = await prepareGuest()
  const debian = { kernel, initrd, append: guestCommandLine({ console: 'ttyS0', quiet: true }), memory: '128M', net: 'nat,switch=lan' }
  writeFileSync(file, JSON.stringify({
    pools: { work: { cpu: { shares: 2000 } }, guests: { cpu: { shares: 1000, limit: '40%' } } },
    machines: {
      server: { ...debian, pool: 'work', disk: 'server.img' },
      client: { ...debian, pool: 'work', disk: 'client.img' },
      loader: { kernel: '/usr/lib/u-boot/qemu-riscv64_smode/uboot.elf', memory: '128M', net: 'none', pool: 'guests' },
      rogue: { kernel: 'rogue.elf', memory: '64M', net: 'none', pool: 'guests' },
    },
  }))
  for (const name of ['server', 'client']) {
    blank(join(folder, `${name}.img`), 24 * MiB)
    execFileSync('mkfs.ext4', ['-q', '-F', join(folder, `${name}.img`)], { env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` } })
  }
})

/** What the file says is so, whoever runs the machines. */
async function check(host: Host): Promise<void> {
  await ask(host, 'server', 'mount -t ext4 /dev/vda /mnt && dd if=/dev/urandom of=/mnt/file bs=64k count=20 2>/dev/null; (while true; do nc -l -p 80 </mnt/file; done) >/dev/null 2>&1 & true')
  const sum = /[0-9a-f]{32}/.exec(await ask(host, 'server', 'md5sum /mnt/file'))?.[0] ?? 'none'
  expect(await ask(host, 'server', 'ip -4 -o addr show dev eth0')).toMatch(/inet 10\.0\.2\.1[56]\/24/)
  const address = /inet ([0-9.]+)/.exec(await ask(host, 'server', 'ip -4 -o addr show dev eth0'))?.[1] ?? 'none'
  expect(await ask(host, 'client', `mount -t ext4 /dev/vda /mnt; until nc ${address} 80 >/mnt/copy && [ -s /mnt/copy ]; do sleep 0.2; done; md5sum /mnt/copy`)).toContain(sum)
  expect(await ask(host, 'client', `ping -c 2 ${address} | grep -c ttl=`)).toMatch(/^2$/)
  // A guest of another kind, at its own prompt.
  await host.say('loader', 'crc32 0x80200000 0x100\n', 'crc32 for 80200000 ... 802000ff ==> ')
  expect(await host.say('loader', 'sbi\n', 'Extensions:')).toMatch(/SBI 2\.0[^]*Implementation ID/)
  // One that touches what is not there runs, and takes its own share at most.
  const rows = await host.command('ps')
  for (const name of NAMES) expect(rows).toMatch(new RegExp(`^${name} +running +(work|guests) `, 'm'))
  const [, used] = /^ *guests\/ +1000 +\S+ +0\.4 +\S+ +\S+ +(\S+)/m.exec(await host.command('table')) ?? []
  expect(Number(used)).toBeGreaterThan(0.05)
  expect(Number(used)).toBeLessThan(0.6)
  await ask(host, 'server', 'kill $(jobs -p) 2>/dev/null; killall nc; umount /mnt')
  await ask(host, 'client', 'umount /mnt')
}

describe('one file of two Debian guests, a boot loader and a guest that misbehaves', () => {
  it('runs on Node.js', async () => {
    const env = { MACHINIST_SOCKET: join(folder, 'run', 'h.sock'), MACHINIST_STATE: join(folder, 'state') }
    const begin = (...args: string[]): ReturnType<typeof start> => start(process.execPath, [CLI, ...args], { env, cwd: folder })
    const command = async (text: string): Promise<string> => {
      const { status, stdout, stderr } = await begin(...text.split(' ')).ended
      expect(status, stderr).toBe(0)
      return stdout.toString()
    }
    await command('up -d machines.json')
    const consoles = new Map<Name, ReturnType<typeof start>>()
    const host: Host = {
      command,
      async say(name, text, until) {
        const console = consoles.get(name) ?? begin('console', name)
        consoles.set(name, console)
        const from = console.text().length
        console.type(text)
        await console.wait(until)
        return console.text().slice(from).replaceAll('\r', '')
      },
    }
    try {
      for (const name of ['server', 'client'] as const) await host.say(name, '\n', PROMPT)
      await host.say('loader', '\u0003', U_BOOT)
      await check(host)
      await command('kill rogue loader')
    } finally {
      await command('down machines.json')
      await command('down')
    }
  }, PATIENCE)

  it('runs on bare metal', async () => {
    const { disks } = await metalDisks(await loadFleet(file))
    await makeDatastore(join(folder, 'store'), disks)
    const image = await buildMetal({ file, output: join(folder, 'image') })
    const child = hardware(image.path, '-smp', '2', '-drive', `file=${join(folder, 'store')},if=none,id=store,format=raw`, '-device', 'virtio-blk-device,drive=store', '-netdev', 'user,id=net,restrict=on', '-device', 'virtio-net-device,netdev=net')
    let text = ''
    let seen = 0
    let look = (): void => undefined
    child.stdout.on('data', (piece: string) => {
      text += piece.replaceAll('\r', '')
      look()
    })
    const ended = new Promise<void>((resolve) => { child.on('exit', () => { resolve() }) })
    const after = (what: string): Promise<string> => new Promise((resolve, reject) => {
      look = () => {
        const at = text.indexOf(what, seen)
        if (at < 0) return
        const piece = text.slice(seen, at + what.length)
        seen = at + what.length
        look = () => undefined
        resolve(piece)
      }
      look()
      void ended.then(() => { reject(new Error(`the hardware went off before '${what}': ${text.slice(-3000)}`)) })
    })
    let shown: Name | null = 'server'
    const monitor = async (): Promise<void> => {
      child.stdin.write('\u0001x')
      await after('machinist> ')
      shown = null
    }
    const host: Host = {
      async say(name, words, until) {
        if (shown !== name) {
          if (shown !== null) await monitor()
          child.stdin.write(`console ${name}\r`)
          await after(`[${name}. Ctrl-A X`)
          shown = name
        }
        child.stdin.write(words)
        return after(until)
      },
      async command(words) {
        if (shown !== null) await monitor()
        child.stdin.write(`${words}\r`)
        return after('machinist> ')
      },
    }
    await after(PROMPT)
    await host.say('client', '\n', PROMPT)
    await host.say('loader', '\u0003', U_BOOT)
    await check(host)
    const figures = await host.command('hardware')
    const taken = Number(/of which ([0-9.]+)M are taken/.exec(figures)?.[1])
    expect(taken, figures).toBeLessThan(16)
    await host.command('kill rogue loader')
    for (const name of ['client', 'server'] as const) await host.say(name, 'poweroff\n', `[${name}: off`)
    await ended
  }, PATIENCE)
})
