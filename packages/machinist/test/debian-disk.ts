/**
 * Tests of a disk with Debian and systemd, for each architecture the same: made, booted, used. They need the network and apt, and Debian's
 * packages e2fsprogs and openssh-client. The first run installs the system, which takes minutes; others take it from the cache.
 */
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import type { GuestArchitecture } from '../src/guest/index.ts'
import { CLI, type Ended, freePort, type Running, scratch, start } from './support.ts'

const MINUTES = 60_000
const PASSWORD = 'correct horse'
const PROMPT = 'root@trixie:~# '
const MACHINES: Readonly<Record<Exclude<GuestArchitecture, 'i386'>, string>> = { riscv64: 'riscv64', amd64: 'x86_64' }

/** Runs a program of the host to its end, which has to be a good one. */
async function host(program: string, args: readonly string[], input: string | Uint8Array = ''): Promise<Ended> {
  const ended = await start(program, args, { input, patience: 10 * MINUTES, env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` } }).ended
  if (ended.status !== 0) throw new Error(`${program} ${args.join(' ')}: ${ended.status}\n${ended.stdout.toString()}${ended.stderr}`)
  return ended
}

/** A machine with the disk, logged in as root. */
interface Session {
  readonly machine: Running
  /** Runs a command; resolves with what it printed, and its status. */
  sh(command: string): Promise<{ readonly output: string; readonly status: number }>
  /** Powers off from within; resolves with the exit status of the process. */
  powerOff(): Promise<unknown>
}

/** What is tested of an architecture. */
export interface DebianTests {
  readonly architecture: keyof typeof MACHINES
  /** Whether a second boot finds what the first one left. */
  readonly again: boolean
}

/** Declares the tests of a disk. */
export function testDebian({ architecture, again }: DebianTests): void {
  const folder = scratch()
  const disk = join(folder, 'debian.qcow2')
  const key = join(folder, 'key')

  /** Boots the disk to a root shell. Further arguments add what a test is about: a network, a shared folder. */
  async function boot(args: readonly string[] = []): Promise<Session> {
    const machine = start(process.execPath, [CLI, 'run', disk, '--quiet', ...args], { patience: 40 * MINUTES })
    await machine.wait('trixie login: ')
    machine.type('root\n')
    await machine.wait('Password: ')
    machine.type(`${PASSWORD}\n`)
    await machine.wait(PROMPT)
    let count = 0
    const sh = async (command: string): Promise<{ output: string; status: number }> => {
      // What is typed is echoed: the marks are put together by the shell, so that the echo does not hold them.
      const mark = `mark-${++count}`
      const begin = machine.text().length
      machine.type(`printf '%s\\n' "<""${mark}"; ${command}; printf '%s %s\\n' "$?" "${mark}"">"\n`)
      await machine.wait(new RegExp(`\\d+ ${mark}>`))
      await machine.wait(PROMPT)
      const [, output = '', status = ''] = new RegExp(`<${mark}\\r?\\n([^]*?)(\\d+) ${mark}>`).exec(machine.text().slice(begin)) ?? []
      return { output: output.replaceAll('\r\n', '\n'), status: Number(status) }
    }
    await sh('stty -echo columns 1000')
    return {
      machine, sh,
      async powerOff() {
        machine.type('poweroff\n')
        return (await machine.ended).status
      },
    }
  }

  /** The image has to be sound, and so has the file system in it. */
  async function checkDisk(): Promise<void> {
    const raw = join(folder, 'check.img')
    await host(process.execPath, [CLI, 'disk', 'check', disk])
    await host(process.execPath, [CLI, 'disk', 'convert', '--force', '--quiet', disk, raw])
    await host('e2fsck', ['-fn', raw])
  }

  beforeAll(async () => {
    await host('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key])
    const build = start(process.execPath, [
      CLI, 'debian', 'build', '--arch', architecture, '--output', disk, '--size', '3G', '--hostname', 'trixie', '--root-password', PASSWORD, '--ssh-key', `${key}.pub`,
    ], { input: '', patience: 60 * MINUTES })
    expect(await build.ended).toMatchObject({ status: 0 })
  }, 61 * MINUTES)

  it('a disk with Debian is sound, of the size that was asked for, and takes what is in it', async () => {
    const { size, blocks } = statSync(disk)
    expect(size).toBeLessThan(2 ** 30)
    expect(blocks * 512).toBeLessThan(2 ** 30)
    expect(readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([])
    expect(JSON.parse((await host(process.execPath, [CLI, 'disk', 'info', '--json', disk])).stdout.toString())).toMatchObject({ format: 'qcow2', size: 3 * 2 ** 30 })
    await checkDisk()
  })

  describe('Debian on its disk', () => {
    const shared = join(folder, 'shared')
    let session: Session | null = null
    let [port, machineId, hostKey] = [0, '', '']
    const sh: Session['sh'] = (command) => {
      if (session === null) throw new Error('it did not boot')
      return session.sh(command)
    }

    it('boots to a login', async () => {
      mkdirSync(shared)
      port = await freePort()
      session = await boot(['--net', `nat,forward=tcp:127.0.0.1:${port}-:22`, '--share', shared])
    })

    it('has a systemd that is content, and packages as Debian installs them', async () => {
      // Done, and nothing failed. It waits for what is still starting.
      expect(await sh('systemctl is-system-running --wait; systemctl --failed --no-legend --plain')).toEqual({ output: 'running\n', status: 0 })
      expect((await sh('cat /etc/os-release')).output).toContain('VERSION_CODENAME=trixie')
      expect((await sh('uname -m; hostname; findmnt -rno FSTYPE,LABEL /; df -BG --output=size / | tail -n 1 | tr -d " "')).output).toBe(`${MACHINES[architecture]}\ntrixie\next4 debian\n3G\n`)
      expect((await sh('systemctl is-enabled systemd-networkd systemd-resolved ssh; systemctl is-active systemd-networkd systemd-resolved ssh')).output).toBe('enabled\nenabled\nenabled\nactive\nactive\nactive\n')
      // With rights and owners of their own.
      expect(await sh('dpkg --audit; dpkg --verify | grep -v " c /" || true')).toEqual({ output: '', status: 0 })
      expect((await sh('stat -c "%a %U %G" /usr/bin/passwd /etc/shadow /root /tmp')).output).toBe('4755 root root\n640 root shadow\n700 root root\n1777 root root\n')
      machineId = (await sh('cat /etc/machine-id')).output
      hostKey = (await sh('cat /etc/ssh/ssh_host_ed25519_key.pub')).output
      expect(machineId).toMatch(/^[0-9a-f]{32}\n$/)
      expect(hostKey).toMatch(/^ssh-ed25519 /)
    })

    it('installs a package from the mirror of this host, through the NAT', async () => {
      expect((await sh('grep -c ^URIs: /etc/apt/sources.list.d/debian.sources')).output).toMatch(/^[1-3]\n$/)
      const { output } = await sh('apt-get -q update 2>&1')
      // A mirror may be in the midst of taking over the updates, and say so; the release itself never changes.
      expect(output.split('\n').filter((line) => /^E: Failed/.test(line) && !/trixie-(?:updates|security)/.test(line))).toEqual([])
      expect(await sh('DEBIAN_FRONTEND=noninteractive apt-get -qq -y install hello >/dev/null 2>&1; hello')).toEqual({ output: 'Hello, world!\n', status: 0 })
    })

    it('lets the host in by ssh', async () => {
      const known = join(folder, 'known_hosts')
      writeFileSync(known, `[127.0.0.1]:${port} ${hostKey}`)
      const options = ['BatchMode=yes', 'IdentitiesOnly=yes', 'StrictHostKeyChecking=yes', `UserKnownHostsFile=${known}`, 'ConnectTimeout=120'].flatMap((option) => ['-o', option])
      const ssh = (command: string, input: string | Uint8Array = ''): Promise<Ended> => host('ssh', ['-F', 'none', '-i', key, '-p', String(port), ...options, 'root@127.0.0.1', command], input)
      expect((await ssh('hostname; id -un; cat /etc/machine-id')).stdout.toString()).toBe(`trixie\nroot\n${machineId}`)
      const bytes = randomBytes(2_000_000)
      expect((await ssh('tee /root/sent', bytes)).stdout.equals(bytes)).toBe(true)
    })

    it('mounts a folder of the host when somebody looks', async () => {
      const bytes = randomBytes(1_000_001)
      writeFileSync(join(shared, 'from-host'), bytes)
      expect(await sh('ls /mnt/share && findmnt -rno FSTYPE /mnt/share | tail -n 1')).toEqual({ output: 'from-host\n9p\n', status: 0 })
      expect(await sh('mkdir /mnt/share/made && cp /mnt/share/from-host /mnt/share/made/copy && cp /mnt/share/from-host /root/kept')).toEqual({ output: '', status: 0 })
      expect(readFileSync(join(shared, 'made/copy')).equals(bytes)).toBe(true)
    })

    it('powers off, with all that was written on a clean disk', async () => {
      expect((await sh('seq 1 100000 >/root/numbers')).status).toBe(0)
      expect(await session?.powerOff()).toBe(0)
      await checkDisk()
    })

    it.runIf(again)('boots again, as the same system with the same files', async () => {
      const second = await boot(['--harts', '2', '--share', shared])
      expect((await second.sh('seq 1 100000 | cmp - /root/numbers && nproc')).output).toBe('2\n')
      expect((await second.sh('cat /etc/machine-id')).output).toBe(machineId)
      expect((await second.sh('cat /etc/ssh/ssh_host_ed25519_key.pub')).output).toBe(hostKey)
      expect(await second.sh('hello; dpkg --audit; stat -c %s /root/sent; cmp /root/kept /mnt/share/from-host')).toEqual({ output: 'Hello, world!\n2000000\n', status: 0 })
      expect(await second.powerOff()).toBe(0)
      await checkDisk()
    })
  })
}
