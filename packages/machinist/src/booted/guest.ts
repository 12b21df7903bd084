import { dirname } from 'node:path/posix'
import { type MachinistError, machinistError } from '@machinist/api'
import type { Machine } from '@machinist/machine'
import { killCommand } from './agent.ts'
import { AgentLine, type Answer } from './agent-line.ts'
import { ConsoleView, type GuestConsole } from './console.ts'
import { backendsOf, type NetworkChoice, networkBackend, networkCommand, stationOf } from './network.ts'

/** Milliseconds. */
const DEFAULT_TIMEOUT = 120_000
/** Milliseconds that a command has to go when it was told to. */
const GRACE = 30_000
/** Commands that {@link Guest.report} tells of, and lines of what each said. */
const REPORTED_COMMANDS = 5
const REPORTED_LINES = 8
/** Characters of the name of a machine. */
const longestName = 31
/** Letters of a command in errors. */
const SHOWN_COMMAND = 200

/** How {@link Guest.exec} runs a command. */
export interface CommandOptions {
  /** Standard input; it is empty unless given. */
  readonly stdin?: string | Uint8Array | undefined
  /** Milliseconds after which the command is killed; 120 000 unless given. */
  readonly timeout?: number | undefined
}

/** What a command gave. */
export interface CommandResult {
  /** 0 to 255; 128 + n when signal n ended it. */
  readonly status: number
  /** As text, UTF-8. */
  readonly stdout: string
  readonly stderr: string
  /** The very bytes. */
  readonly stdoutBytes: Uint8Array
  readonly stderrBytes: Uint8Array
}

/** What {@link Guest.fork} may be given. */
export interface GuestForkOptions extends NetworkChoice {
  /** For errors and reports, and the copy's host name; that of the guest with a number unless given. */
  readonly name?: string | undefined
}

/** A Linux guest that has booted, and does what it is told. Made by {@link bootGuest}, and by itself. */
export interface Guest {
  readonly name: string
  /** The machine beneath. */
  readonly machine: Machine
  /** The serial console, where a shell waits. */
  readonly console: GuestConsole
  /**
   * Runs a command of the shell, as root in `/root`. Up to eight run at once; more wait. What it leaves in the background goes on.
   *
   * @returns what it wrote and its status, whatever that is
   * @throws typed errors: `'exec-timeout'`; `'guest-off'` when the guest is or gets switched off, resets or panics; `'exec-command'`; `'exec-output'`
   */
  exec(command: string, options?: CommandOptions): Promise<CommandResult>
  /**
   * As {@link exec}, for commands that must not fail: what `$(command)` gives in a shell, standard output without the line ends behind it.
   *
   * @throws as `exec`, and a typed error `'exec-status'`, with what the command wrote, unless its status is 0
   */
  text(command: string, options?: CommandOptions): Promise<string>
  /** Writes a file, and the folders above it. `mode` is 0o644 unless given. @throws as {@link text} */
  write(path: string, content: string | Uint8Array, options?: { readonly mode?: number }): Promise<void>
  /** Reads a file. @throws as {@link text} */
  read(path: string): Promise<Uint8Array>
  /**
   * A copy of it as it is now: files, memory, processes. It costs milliseconds, and the memory that it changes. Commands that run go on in the copy without
   * anybody to tell.
   *
   * @throws as `Machine.fork`, and as {@link exec} for setting the network up
   */
  fork(options?: GuestForkOptions): Promise<Guest>
  /** Pulls the plug. What waits for it is refused with `'guest-off'`. */
  powerOff(): void
  /** Lets time stand still in it, until `resume`, `exec` or another that needs it to run. */
  pause(): void
  resume(): void
  /** Its last commands and its screen, for people who want to know what went wrong. */
  report(): string
  /** Ends it and gives everything back. Does nothing the second time. */
  dispose(): void
}

interface Logged {
  readonly command: string
  outcome: string
  said: string
}

/** Copies of one guest that booted: its number in this process, and how many there were. */
interface Copies {
  readonly of: number
  made: number
}

let booted = 0

/** {@link Guest}. */
export class BootedGuest implements Guest {
  readonly name: string
  readonly machine: Machine
  readonly console: ConsoleView
  readonly #lines: readonly AgentLine[]
  /** Who waits for a line, first come first served. */
  readonly #waiting: (() => void)[] = []
  readonly #log: Logged[] = []
  readonly #copies: Copies
  #off: MachinistError | null = null
  /** Why it is off, unless somebody had no more use for it. */
  #why: string | null = null

  /** @param copies - which guest it was copied of in the end, and how many were; those of one that booted itself unless given */
  constructor(name: string, machine: Machine, console: ConsoleView, lines: readonly AgentLine[], copies: Copies = { of: booted++, made: 0 }) {
    this.name = name
    this.machine = machine
    this.console = console
    this.#lines = lines
    this.#copies = copies
    machine.on('error', ({ error }) => { this.#end(`its machine stopped: ${error.message}`) })
    machine.on('power', ({ by }) => { this.#end(by === 'guest' ? 'the guest switched itself off' : 'it was switched off') })
    machine.on('reset', () => { this.#end('the guest started over, as it does after a panic') })
  }

  /** Called whenever a line can take a command. */
  next(): void {
    this.#waiting.shift()?.()
  }

  async exec(command: string, options: CommandOptions = {}): Promise<CommandResult> {
    if (command.includes('\0')) throw machinistError({ code: 'exec-command', part: this.name, remedy: 'Give text.' }, 'a command cannot hold a NUL')
    const { stdin = '', timeout = DEFAULT_TIMEOUT } = options
    const logged: Logged = { command, outcome: 'runs', said: '' }
    this.#log.push(logged)
    if (this.#log.length > REPORTED_COMMANDS) this.#log.shift()
    const began = performance.now()
    const seconds = (): string => `${((performance.now() - began) / 1000).toFixed(2)} s`
    try {
      const result = decoded(await this.#timed(command, typeof stdin === 'string' ? Buffer.from(stdin) : stdin, timeout))
      logged.outcome = `status ${String(result.status)}, ${seconds()}`
      logged.said = lastLines(`${result.stdout}${result.stderr}`)
      return result
    } catch (error) {
      logged.outcome = `no answer, ${seconds()}`
      throw error
    }
  }

  async text(command: string, options?: CommandOptions): Promise<string> {
    return this.#good(command, await this.exec(command, options)).stdout.replace(/\n+$/, '')
  }

  async write(path: string, content: string | Uint8Array, options: { readonly mode?: number } = {}): Promise<void> {
    const { mode = 0o644 } = options
    const [file, folder] = [quoted(path), quoted(dirname(path))]
    const command = `mkdir -p -- ${folder} && cat >${file} && chmod ${mode.toString(8)} -- ${file}`
    this.#good(command, await this.exec(command, { stdin: content }))
  }

  async read(path: string): Promise<Uint8Array> {
    const command = `cat -- ${quoted(path)}`
    return this.#good(command, await this.exec(command)).stdoutBytes
  }

  async fork(options: GuestForkOptions = {}): Promise<Guest> {
    this.#beOn()
    const number = ++this.#copies.made
    const suffix = `-${String(number)}`
    const name = options.name ?? this.name.slice(0, longestName - suffix.length) + suffix
    const console = new ConsoleView(name, this.console.history)
    const lines: AgentLine[] = this.#lines.map(() => new AgentLine(() => { guest.next() }))
    const network = networkBackend(options)
    const machine = await this.machine.fork({ name, start: false, backends: backendsOf(console, lines, network) })
    // Commands that run now have nobody there to tell.
    this.#lines.forEach((line, index) => {
      if (line.idle) lines[index]?.ready()
      else lines[index]?.abandon(this.#error('exec-copied', 'Copy a guest when no command runs.', 'a command ran when the guest was copied'))
    })
    const guest = new BootedGuest(name, machine, console, lines, this.#copies)
    guest.resume()
    const setUp = networkCommand(stationOf(this.#copies.of, number), options, options.name)
    if (setUp === null) return guest
    try {
      await guest.text(setUp)
    } catch (error) {
      guest.dispose()
      throw error
    }
    guest.#log.length = 0
    return guest
  }

  powerOff(): void {
    this.machine.powerOff()
  }

  pause(): void {
    this.machine.pause()
  }

  resume(): void {
    this.#beOn()
    if (this.machine.state === 'paused') this.machine.start({ drive: 'host' })
  }

  report(): string {
    const commands = this.#log.map(({ command, outcome, said }) => `  $ ${shown(command)}   → ${outcome}${said === '' ? '' : `\n${indented(said, '    ')}`}`)
    return [
      `guest ${this.name}${this.#why === null ? '' : `: ${this.#why}`}`,
      ...commands.length === 0 ? [] : ['  last commands:', ...commands],
      '  console:', indented(this.console.screen, '  │ '),
    ].join('\n')
  }

  dispose(): void {
    this.#end('it was disposed of', false)
    this.machine.dispose()
  }

  async #timed(command: string, stdin: Uint8Array, timeout: number): Promise<Answer> {
    let late: () => void = () => {}
    const over = new Promise<'late'>((resolve) => { late = () => { resolve('late') } })
    // It also keeps the process alive while the guest sleeps.
    const timer = setTimeout(late, timeout)
    try {
      const line = await this.#line(over)
      if (line === null) throw this.#late(command, timeout, 'eight others run', '')
      this.#beOn()
      const answer = line.run(command, stdin)
      const first = await Promise.race([answer, over])
      if (first !== 'late') return first
      throw await this.#kill(line, answer, command, timeout)
    } finally {
      clearTimeout(timer)
    }
  }

  /** A line that can take a command; null when that comes too late. */
  async #line(over: Promise<'late'>): Promise<AgentLine | null> {
    for (;;) {
      this.resume()
      const line = this.#lines.find((each) => each.claim())
      if (line !== undefined) return line
      if (this.#lines.every(({ lost }) => lost)) throw this.#error('guest-busy', 'Take another copy of the guest.', 'no more commands can be run')
      let turn: () => void = () => {}
      const free = new Promise<'free'>((resolve) => { this.#waiting.push(turn = () => { resolve('free') }) })
      if (await Promise.race([free, over]) === 'free') continue
      const at = this.#waiting.indexOf(turn)
      if (at >= 0) this.#waiting.splice(at, 1)
      else this.next()
      return null
    }
  }

  /** Ends a command that takes too long; gives the error that tells of it. */
  async #kill(line: AgentLine, running: Promise<Answer>, command: string, timeout: number): Promise<Error> {
    const other = line.process === null ? undefined : this.#lines.find((each) => each.claim())
    // No answer is an answer, too: then the line is of no use any more.
    const asked = line.process === null || other === undefined ? null : other.run(killCommand(line.process), new Uint8Array())
    const silent = new Promise<null>((resolve) => { setTimeout(() => { resolve(null) }, GRACE).unref() })
    const answer = asked === null ? null : await Promise.race([Promise.all([running, asked]).then(([got]) => got), silent]).catch((error: unknown) => error as Error)
    if (answer instanceof Error) return answer
    if (answer === null) {
      const error = this.#late(command, timeout, 'and does not end', '')
      running.catch(() => {})
      line.abandon(error)
      return error
    }
    const { stdout, stderr } = decoded(answer)
    return this.#late(command, timeout, 'and was ended', lastLines(`${stdout}${stderr}`))
  }

  #late(command: string, timeout: number, what: string, said: string): MachinistError {
    return this.#error('exec-timeout', `Look at what it said, or give it more time: { timeout: … }.${said === '' ? '' : `\n${said}`}`, `a command took longer than ${String(timeout)} ms, ${what}`, shown(command))
  }

  #good(command: string, result: CommandResult): CommandResult {
    if (result.status === 0) return result
    const said = lastLines(`${result.stdout}${result.stderr}`)
    throw this.#error('exec-status', said === '' ? 'It said nothing.' : `It said:\n${said}`, `a command ended with status ${String(result.status)}`, shown(command))
  }

  #error(code: string, remedy: string, problem: string, value?: string): MachinistError {
    return machinistError({ code, part: this.name, remedy, value }, problem)
  }

  #beOn(): void {
    if (this.#off !== null) throw this.#off
  }

  #end(why: string, worthTelling = true): void {
    if (this.#off !== null) return
    this.#why = worthTelling ? why : null
    this.#off = this.#error('guest-off', `Its screen:\n${this.console.screen}`, why)
    for (const line of this.#lines) line.abandon(this.#off)
    this.console.end(this.#off)
    for (const turn of this.#waiting.splice(0)) turn()
  }
}

function decoded({ status, stdout, stderr }: Answer): CommandResult {
  return { status, stdout: Buffer.from(stdout).toString(), stderr: Buffer.from(stderr).toString(), stdoutBytes: stdout, stderrBytes: stderr }
}

/** One word of the shell. */
function quoted(path: string): string {
  return `'${path.replaceAll("'", "'\\''")}'`
}

function shown(command: string): string {
  const line = command.trim().replaceAll('\n', ' ⏎ ')
  return line.length > SHOWN_COMMAND ? `${line.slice(0, SHOWN_COMMAND)} …` : line
}

function lastLines(text: string): string {
  return text.trimEnd().split('\n').slice(-REPORTED_LINES).map((line) => line.slice(0, SHOWN_COMMAND)).join('\n')
}

function indented(text: string, by: string): string {
  return text.split('\n').map((line) => `${by}${line}`).join('\n')
}
