import { spawn } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Unmet } from '../scripts/lib/say.mjs'
import { cpuSeconds } from './cpu-time.mjs'

/**
 * `memory` is a size such as 256M, `disk` a file that neither side writes unless it is `writable`: it is read-only, or, with `scratch`, what the guest writes is
 * kept elsewhere and forgotten. `until` is what the guest writes when it has come where it should, if it prints no marks of its own: then it
 * is ended. `services` are ports of 127.0.0.1 that the guest finds at 10.0.2.2, behind a NAT. `other` is the command line of a second guest, of
 * the same kernel, on one network with the first.
 * @typedef {{ architecture?: import('./options.mjs').Architecture, kernel: string, initrd?: string, append?: string, memory: string, disk?: string, scratch?: boolean, writable?: boolean, until?: string,
 *   services?: readonly number[], other?: string }} Guest
 * @typedef {'init' | 'start' | 'end' | 'checked'} MarkKind
 * @typedef {{ row: string, mark: MarkKind, cpu: number, wall: number, instret: number, checksum: string, work: number }} Mark
 */

const pair = fileURLToPath(new URL('net/pair.mjs', import.meta.url))
const v86 = fileURLToPath(new URL('v86.mjs', import.meta.url))
const cli = fileURLToPath(new URL('../packages/machinist/dist/cli.cjs', import.meta.url))

/**
 * The command that boots a guest on one side: one hart, the console on stdin and stdout.
 * @param {import('./options.mjs').Side} side
 * @param {Guest} guest
 * @returns {[string, string[]]}
 */
function commandLine(side, guest) {
  const optional = (/** @type {string} */ flag, /** @type {string | undefined} */ value) => (value === undefined ? [] : [flag, value])
  if (guest.other !== undefined) return pairCommandLine(side, guest, guest.other)
  const { services, architecture = 'riscv64' } = guest
  if (side === 'v86') return [process.execPath, [v86, guest.kernel, guest.initrd ?? '', guest.append ?? '', guest.memory]]
  if (side === 'qemu' && architecture !== 'riscv64') {
    // What `machinist` tells its guests to be like; without an HPET, so that both have the same clocks.
    return [architecture === 'amd64' ? 'qemu-system-x86_64' : 'qemu-system-i386', [
      '-M', 'q35,hpet=off', '-cpu', architecture === 'amd64' ? 'Nehalem' : 'coreduo', '-accel', 'tcg', '-smp', '1', '-m', guest.memory, '-nodefaults', '-display', 'none', '-no-reboot', '-serial', 'stdio',
      '-kernel', guest.kernel, ...optional('-initrd', guest.initrd), ...optional('-append', guest.append),
    ]]
  }
  if (side === 'qemu') {
    // The transport of ours: virtio 1 by MMIO.
    const disk = guest.disk === undefined ? [] : [
      '-global', 'virtio-mmio.force-legacy=false', '-device', 'virtio-blk-device,drive=disk',
      '-drive', `if=none,id=disk,format=raw,${guest.writable === true ? 'readonly=off' : guest.scratch === true ? 'snapshot=on' : 'readonly=on'},file=${guest.disk.replaceAll(',', ',,')}`,
    ]
    const net = services === undefined ? [] : ['-global', 'virtio-mmio.force-legacy=false', '-netdev', 'user,id=net', '-device', 'virtio-net-device,netdev=net']
    return ['qemu-system-riscv64', [
      ...qemuMachine(guest.memory), '-serial', 'stdio', ...disk, ...net,
      '-kernel', guest.kernel, ...optional('-initrd', guest.initrd), ...optional('-append', guest.append),
    ]]
  }
  return [process.execPath, [
    cli, 'run', ...(architecture === 'riscv64' ? [] : ['--arch', architecture]), '--net', services === undefined ? 'none' : ['nat', ...services.map((port) => `service=tcp:10.0.2.2:${port}-127.0.0.1:${port}`)].join(),
    '--harts', '1', '--memory', guest.memory, '--quiet', ...(guest.disk === undefined ? [] : ['--disk', `${guest.disk},${guest.writable === true ? 'format=raw' : guest.scratch === true ? 'overlay' : 'ro'}`]),
    '--kernel', guest.kernel, ...optional('--initrd', guest.initrd), ...optional('--append', guest.append),
  ]]
}

/** @param {string} memory */
function qemuMachine(memory) {
  return ['-M', 'virt', '-accel', 'tcg', '-smp', '1', '-m', memory, '-nodefaults', '-display', 'none', '-no-reboot']
}

/**
 * Two guests on one network: on our side in one process, on QEMU's in two, with a socket between them. The marks are the first one's.
 * @param {import('./options.mjs').Side} side
 * @param {Guest} guest
 * @param {string} other
 * @returns {[string, string[]]}
 */
function pairCommandLine(side, { kernel, initrd = '', memory, append = '' }, other) {
  if (side === 'ours') return [process.execPath, [pair, kernel, initrd, memory.replace(/M$/, ''), other, append]]
  const socket = join(tmpdir(), `machinist-bench-${process.pid}`)
  const machine = (/** @type {string} */ line, /** @type {string} */ server, /** @type {string} */ serial, /** @type {number} */ station) => [
    'qemu-system-riscv64', ...qemuMachine(memory), '-serial', serial, '-global', 'virtio-mmio.force-legacy=false',
    '-netdev', `stream,id=net,server=${server},addr.type=unix,addr.path=${socket}`, '-device', `virtio-net-device,netdev=net,mac=52:54:00:12:34:0${station}`,
    '-kernel', kernel, '-initrd', initrd, '-append', line,
  ].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ')
  // The second waits for the socket of the first.
  return ['sh', ['-c', `${machine(other, 'on', 'null', 1)} & until [ -S ${socket} ]; do sleep 0.1; done; ${machine(append, 'off', 'stdio', 2)}; wait; rm -f ${socket}`]]
}

/**
 * Boots a guest, samples the emulator's CPU time at every mark the guest prints, and resolves when the machine is off.
 * @param {import('./options.mjs').Side} side
 * @param {Guest} guest
 * @param {{ verbose: boolean, timeoutMs: number }} options
 * @returns {Promise<Mark[]>}
 * @throws {Unmet} if the guest never came to its last mark, or a row's result was wrong
 */
export function emulate(side, guest, options) {
  const [command, args] = commandLine(side, guest)
  return new Promise((resolve, reject) => {
    const began = process.hrtime.bigint()
    // Some machines have Node.js read further certificates whenever it starts, which is no part of an emulator.
    const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env
    const child = spawn(command, args, { env, stdio: ['pipe', 'pipe', 'pipe'] })
    /** @type {Mark[]} */
    const marks = []
    let line = '', tail = '', finished = false
    /** @type {string | undefined} */
    let failure
    const timer = setTimeout(() => {
      failure = `took more than ${options.timeoutMs / 1000} s`
      child.kill('SIGKILL')
    }, options.timeoutMs)
    const show = (/** @type {string} */ text) => {
      tail = (tail + text).slice(-3000)
      if (options.verbose) process.stderr.write(text)
    }
    child.stdin.on('error', () => {}) // the emulator ended first
    child.stderr.setEncoding('utf8').on('data', show)
    child.stdout.setEncoding('latin1').on('data', (text) => {
      const cpu = child.pid === undefined ? 0 : cpuSeconds(child.pid)
      const wall = Number(process.hrtime.bigint() - began) / 1e9
      show(text)
      const lines = (line + text).split('\n')
      line = lines.pop() ?? ''
      if (guest.until !== undefined && !finished && `${lines.at(-1) ?? ''}\n${line}`.includes(guest.until)) {
        marks.push({ row: 'init', mark: 'init', cpu, wall, instret: 0, checksum: '', work: 0 })
        finished = true
        child.kill('SIGKILL')
      }
      for (const full of lines) {
        const found = /@@bench (\S+)(?: (start|end|checked))?(?: instret=(\d+))?(?: checksum=(\w+) (ok|bad))?(?: work=(\d+))?/.exec(full)
        if (found === null) continue
        const [, row = '', kind = 'init', instret = 0, checksum = '', verdict, work = 0] = found
        if (row === 'done') finished = true
        else marks.push({ row, mark: /** @type {MarkKind} */ (kind), cpu, wall, instret: Number(instret), checksum, work: Number(work) })
        if (verdict === 'bad') failure = `had a wrong result in row ${row}`
      }
    })
    const end = (/** @type {string} */ how) => {
      clearTimeout(timer)
      if (!finished) failure ??= `ended before its last mark (${how})`
      if (failure === undefined) resolve(marks)
      else reject(new Unmet(`bench: the guest on ${side} ${failure}; the end of its console:\n${tail}\ncommand: ${[command, ...args].join(' ')}`))
    }
    child.on('error', (error) => end(error.message))
    child.on('close', (code, signal) => end(signal ?? `status ${code}`))
  })
}
