import { spawn } from 'node:child_process'
import type { Readable } from 'node:stream'

import { undoneWhenInterrupted } from './interruption.ts'

/** What a program did. */
export interface Finished {
  readonly status: number | null
  readonly stdout: Buffer
  readonly stderr: string
  /** The program is not installed. */
  readonly missing: boolean
}

/** What to give a program. */
export interface RunOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Called with each line of the program's file descriptor 3. */
  readonly onLine?: (line: string) => void
}

/** Runs a program to its end, or to ours; never rejects because of what the program does. */
export function runProgram(program: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  let stop = (): void => undefined
  return undoneWhenInterrupted(() => { stop() }, () => new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: { ...process.env, LC_ALL: 'C.UTF-8', DEBIAN_FRONTEND: 'noninteractive', ...options.env },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    })
    stop = () => { child.kill('SIGKILL') }
    const out: Buffer[] = []
    let stderr = ''
    let missing = false
    child.stdout?.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr?.on('data', (chunk: Buffer) => {
      stderr = (stderr + chunk.toString('utf8')).slice(-65536)
    })
    let rest = ''
    const status = child.stdio[3] as Readable | null | undefined
    status?.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString('utf8')).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) options.onLine?.(line)
    })
    child.on('error', (error) => {
      missing = 'code' in error && error.code === 'ENOENT'
      resolve({ status: null, stdout: Buffer.concat(out), stderr: stderr || error.message, missing })
    })
    child.on('close', (code) => resolve({ status: code, stdout: Buffer.concat(out), stderr, missing }))
  }))
}
