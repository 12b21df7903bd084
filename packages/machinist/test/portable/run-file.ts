import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bundle } from './bundle.ts'

/** How a test ended in the engine. */
export interface Outcome {
  readonly test: string
  readonly outcome: 'passed' | 'failed' | 'skipped'
  readonly error: string
}

/** Against what hangs. */
const PATIENCE = 20 * 60_000
/** What a file that does not get to its tests is told as. */
export const WHOLE = '(the whole file)'

/** Runs a test file in the engine. */
export async function runFile(engine: string, file: string): Promise<Outcome[]> {
  const folder = await mkdtemp(join(tmpdir(), 'machinist-portable-'))
  try {
    const script = join(folder, 'test.js')
    await writeFile(script, await bundle(file))
    const { output, problem } = await new Promise<{ output: string; problem: string }>((resolve) => {
      execFile(engine, [script], { timeout: PATIENCE, maxBuffer: 1 << 28 }, (error, stdout, stderr) => { resolve({ output: stdout, problem: error === null ? '' : stderr || error.message }) })
    })
    const lines = output.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Outcome | { readonly end: true | string })
    const end = lines.find((line) => 'end' in line)?.end ?? (problem === '' ? 'it ended in the middle' : problem)
    const outcomes = lines.filter((line) => 'test' in line)
    return end === true ? outcomes : [...outcomes, { test: WHOLE, outcome: 'failed', error: end }]
  } finally {
    await rm(folder, { recursive: true })
  }
}
