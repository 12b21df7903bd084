import { pathToFileURL } from 'node:url'
import { imageDisk, qcow2 } from '../src/index.ts'
import { generator, nodeFile } from './node-file.ts'

export const sectors = 8192

export interface Step { readonly first: number; readonly count: number; readonly value: number; readonly flush: boolean }

/** The endless operations of a seed. */
export function* steps(seed: number): Generator<Step, never, undefined> {
  const random = generator(seed)
  for (let index = 1; ; index++) {
    const first = random(sectors)
    yield { first, count: Math.min(sectors - first, 1 + random(300)), value: index, flush: random(10) === 0 }
  }
}

/** Writes to the image until it is killed; says after each flush which step it was. */
async function work(path: string, seed: number): Promise<void> {
  const image = await qcow2.open(nodeFile(path), { name: path })
  const port = imageDisk(image).connect((callback) => { callback() })
  for (const { first, count, value, flush } of steps(seed)) {
    const bytes = Buffer.alloc(count * 512)
    for (let at = 0; at < bytes.length; at += 512) bytes.writeUInt32LE(value, at)
    await new Promise((resolve) => { port.write(first * 512, [bytes], resolve) })
    if (!flush) continue
    await new Promise((resolve) => { port.flush(resolve) })
    process.stdout.write(`${value}\n`)
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href && process.argv[3] !== undefined) await work(process.argv[2] ?? '', Number(process.argv[3]))
