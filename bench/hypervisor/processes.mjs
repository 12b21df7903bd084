import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { cpuSeconds } from '../cpu-time.mjs'
import { commandLine, files, Heard, MEMORY, memoryOf, PROMPT } from './guest.mjs'

const cli = fileURLToPath(new URL('../../packages/machinist/dist/cli.cjs', import.meta.url))
const size = `${MEMORY / 2 ** 20}M`
const boot = ['-kernel', files.kernel, '-initrd', files.initrd, '-append', commandLine]

/** How a guest is run in a process of its own. */
const COMMANDS = {
  machinist: [process.execPath, [cli, 'run', '--net', 'none', '--memory', size, '--quiet', ...boot.map((word) => word.replace(/^-(kernel|initrd|append)$/, '--$1'))]],
  qemu: ['qemu-system-riscv64', ['-M', 'virt', '-accel', 'tcg', '-smp', '1', '-m', size, '-nodefaults', '-display', 'none', '-no-reboot', '-serial', 'stdio', ...boot]],
}

/** A guest in a process of its own, under the kernel's scheduler. */
export class OwnProcess {
  heard = new Heard()
  #child

  /** @param {'machinist' | 'qemu'} kind */
  constructor(kind) {
    const [program, args] = /** @type {[string, string[]]} */ (COMMANDS[kind])
    // Some machines have Node.js read further certificates whenever it starts.
    const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env
    this.#child = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'inherit'] })
    this.#child.stdout.setEncoding('latin1').on('data', (text) => { this.heard.take(text) })
  }

  /** Boots so many, all at once. @param {'machinist' | 'qemu'} kind @param {number} count */
  static async boot(kind, count) {
    const all = Array.from({ length: count }, () => new OwnProcess(kind))
    for (const each of all) await each.heard.until(PROMPT, true)
    return all
  }

  /** @param {string} text */
  write(text) {
    this.#child.stdin.write(text)
  }

  get pid() {
    return this.#child.pid ?? 0
  }

  stop() {
    this.#child.kill('SIGSTOP')
  }

  go() {
    this.#child.kill('SIGCONT')
  }

  end() {
    this.#child.kill('SIGKILL')
  }
}

/** CPU seconds of processes so far. @param {readonly OwnProcess[]} all */
export const cpuOf = (all) => all.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0)

/** @param {readonly OwnProcess[]} all */
export const memoryOfAll = (all) => memoryOf(all.map(({ pid }) => pid))
