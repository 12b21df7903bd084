/** The built `machinist` command, run as its users run it: as a process, through pipes or through a terminal. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll } from 'vitest'

export { freePort } from './free-port.ts'

/** The command, as `npm run build` makes it. */
export const CLI: string = fileURLToPath(new URL('../dist/cli.cjs', import.meta.url))
if (!existsSync(CLI)) throw new Error(`${CLI} is missing: these tests need what \`npm run build\` makes`)

/** Against what hangs: no guest of these tests takes longer, however busy the host is. */
export const PATIENCE: number = 20 * 60_000

const children = new Set<ChildProcess>()
const folders: string[] = []
afterAll(() => {
  for (const child of children) child.kill('SIGKILL')
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

/** An empty folder that goes when the tests of this file have ended. */
export function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'machinist-test-'))
  folders.push(folder)
  return folder
}

/** A file of `size` zeros that takes no room. */
export function blank(path: string, size: number): string {
  writeFileSync(path, '')
  truncateSync(path, size)
  return path
}

/** How a process ended, and what it wrote. */
export interface Ended {
  /** `'timeout'` when it had to be killed. */
  readonly status: number | NodeJS.Signals | 'timeout' | null
  readonly stdout: Buffer
  readonly stderr: string
}

/** A process with its output so far. */
export interface Running {
  readonly pid: number
  /** What it wrote to standard output, so far. */
  text(): string
  /** Waits until `what` appears after everything that was waited for before. */
  wait(what: string | RegExp): Promise<string>
  /** Writes to its standard input. */
  type(text: string | Uint8Array): void
  kill(signal: NodeJS.Signals): void
  readonly ended: Promise<Ended>
}

/** How {@link start} runs a process. */
export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** All of its input; what is typed comes before the end. Without it, the input stays open. */
  readonly input?: string | Uint8Array
  /** Milliseconds after which it is killed; {@link PATIENCE} unless given. */
  readonly patience?: number
}

/** Starts a process. */
export function start(command: string, args: readonly string[], options: StartOptions = {}): Running {
  const child = spawn(command, [...args], { stdio: 'pipe', env: { ...process.env, ...options.env }, ...(options.cwd !== undefined && { cwd: options.cwd }) })
  children.add(child)
  const out: Buffer[] = []
  const err: Buffer[] = []
  let from = 0
  let look: () => void = () => {}
  let over = false
  child.stdout.on('data', (chunk: Buffer) => {
    out.push(chunk)
    look()
  })
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
  child.stdin.on('error', () => undefined)
  if (options.input !== undefined) child.stdin.end(options.input)
  let late = false
  const timer = setTimeout(() => {
    late = true
    child.kill('SIGKILL')
  }, options.patience ?? PATIENCE)
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      children.delete(child)
      over = true
      look()
      resolve({ status: late ? 'timeout' : code ?? signal, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString() })
    })
  })
  // A terminal in Node's raw mode still turns the LF of CR LF into CR LF.
  const text = (): string => Buffer.concat(out).toString().replaceAll('\r\r\n', '\r\n')
  return {
    pid: child.pid ?? 0,
    text,
    wait(what) {
      return new Promise((resolve, reject) => {
        look = () => {
          const rest = text().slice(from)
          const at = typeof what === 'string' ? rest.indexOf(what) : rest.search(what)
          if (at < 0) {
            if (over) reject(new Error(`it ended without ${String(what)}:\n${text().slice(-3000)}\n${Buffer.concat(err).toString().slice(-1000)}`))
            return
          }
          const found = typeof what === 'string' ? what : what.exec(rest)?.[0] ?? ''
          from += at + found.length
          look = () => {}
          resolve(found)
        }
        look()
      })
    },
    type(bytes) { child.stdin.write(bytes) },
    kill(signal) { child.kill(signal) },
    ended,
  }
}

/** Runs `machinist run` to its end, without input. */
export function machinist(args: readonly string[], options: StartOptions = {}): Promise<Ended> {
  return start(process.execPath, [CLI, 'run', ...args], { input: '', ...options }).ended
}

/** Runs a command in the Debian guest. */
export function inGuest(command: string, args: readonly string[] = []): Promise<Ended> {
  return machinist(['--exec', command, ...args])
}

/** What the prompt of the guest's shell ends with. */
export const PROMPT = 'machinist:~# '

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

/**
 * Runs `machinist run` in a terminal of 33 rows and 101 columns (util-linux's script(1) makes it), from a shell that
 * afterwards says how it ended, and whether the terminal is as it was: `[status 0, terminal same]`.
 */
export function inTerminal(args: readonly string[], options: StartOptions = {}): Running {
  const command = [process.execPath, CLI, 'run', ...args].map(quote).join(' ')
  const shell = `stty rows 33 cols 101; before=$(stty -g); ${command}; status=$?; [ "$before" = "$(stty -g)" ] && same=same; echo "[status $status, terminal $same]"`
  return start('script', ['-qfec', shell, '/dev/null'], { ...options, env: { TERM: 'xterm-256color', SHELL: '/bin/sh', ...options.env } })
}
