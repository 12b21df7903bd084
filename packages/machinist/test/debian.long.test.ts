/**
 * A disk with Debian and systemd: made, booted, used, booted again. Needs the network and apt the first time, unless the cache of a
 * former run is there, and Debian's package e2fsprogs.
 */
import { execFileSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { CLI, type Running, scratch, start } from './support.ts'

const MINUTES = 60_000
const folder = scratch()
const disk = join(folder, 'debian.img')
const PASSWORD = 'correct horse'
const PROMPT = 'root@trixie:~# '

/** A machine with the disk, logged in as root. */
interface Session {
  readonly machine: Running
  /** Runs a command; resolves with what it printed, and its status. */
  sh(command: string): Promise<{ readonly output: string; readonly status: number }>
  /** Powers off from within; resolves with the exit status of the process. */
  powerOff(): Promise<unknown>
}

/** Boots the disk to a root shell. Further arguments add what a test is about: a network, a shared folder. */
async function boot(args: readonly string[] = []): Promise<Session> {
  const machine = start(process.execPath, [CLI, 'run', disk, '--quiet', ...args], { patience: 20 * MINUTES })
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

function checkDisk(): void {
  execFileSync('e2fsck', ['-fn', disk], { stdio: 'pipe', env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` } })
}

beforeAll(async () => {
  const build = start(process.execPath, [CLI, 'debian', 'build', '--output', disk, '--size', '3G', '--hostname', 'trixie', '--root-password', PASSWORD], { input: '', patience: 60 * MINUTES })
  expect(await build.ended).toMatchObject({ status: 0 })
}, 61 * MINUTES)

describe('a disk with Debian', () => {
  it('is sound, of the size that was asked for, and sparse', () => {
    const { size, blocks } = statSync(disk)
    expect(size).toBe(3 * 2 ** 30)
    expect(blocks * 512).toBeLessThan(2 ** 30)
    checkDisk()
  })

  it('boots to a login with systemd, keeps what is written, and powers off clean', async () => {
    const first = await boot()
    // Done, and nothing failed. It waits for what is still starting.
    expect(await first.sh('systemctl is-system-running --wait; systemctl --failed --no-legend --plain')).toEqual({ output: 'running\n', status: 0 })
    expect((await first.sh('cat /etc/os-release')).output).toContain('VERSION_CODENAME=trixie')
    expect((await first.sh('uname -m; hostname; findmnt -rno FSTYPE,LABEL /; df -BG --output=size / | tail -n 1 | tr -d " "')).output).toBe('riscv64\ntrixie\next4 debian\n3G\n')
    expect((await first.sh('systemctl is-enabled systemd-networkd systemd-resolved ssh; systemctl is-active systemd-networkd systemd-resolved ssh')).output).toBe('enabled\nenabled\nenabled\nactive\nactive\nactive\n')
    // Installed as Debian installs, with rights and owners of its own.
    expect(await first.sh('dpkg --audit; dpkg --verify | grep -v " c /" || true')).toEqual({ output: '', status: 0 })
    expect((await first.sh('stat -c "%a %U %G" /usr/bin/passwd /etc/shadow /root /tmp')).output).toBe('4755 root root\n640 root shadow\n700 root root\n1777 root root\n')
    expect((await first.sh('grep -c ^URIs: /etc/apt/sources.list.d/debian.sources')).output).toMatch(/^[1-3]\n$/)
    const machineId = (await first.sh('cat /etc/machine-id')).output
    const hostKey = (await first.sh('cat /etc/ssh/ssh_host_ed25519_key.pub')).output
    expect(machineId).toMatch(/^[0-9a-f]{32}\n$/)
    expect(hostKey).toMatch(/^ssh-ed25519 /)
    expect((await first.sh('seq 1 100000 >/root/numbers')).status).toBe(0)
    expect(await first.powerOff()).toBe(0)
    checkDisk()

    const second = await boot(['--harts', '2'])
    expect((await second.sh('seq 1 100000 | cmp - /root/numbers && nproc')).output).toBe('2\n')
    expect((await second.sh('cat /etc/machine-id')).output).toBe(machineId)
    expect((await second.sh('cat /etc/ssh/ssh_host_ed25519_key.pub')).output).toBe(hostKey)
    expect(await second.powerOff()).toBe(0)
    checkDisk()
  }, 45 * MINUTES)
})
