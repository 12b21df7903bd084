import { readFileSync } from 'node:fs'
import { fileError } from '@machinist/host-node'
import type { RelayChoice } from './arguments.ts'
import { serveRelay } from './relay.ts'

/**
 * The command `machinist relay`: runs until it is told to end.
 *
 * @returns the exit status
 * @throws typed errors
 */
export async function runRelay({ host, port, rules, service, resolvers, origins, tokenFile, clients }: RelayChoice): Promise<number> {
  const token = tokenFile === undefined ? undefined : readToken(tokenFile)
  const relay = await serveRelay({
    host, port, resolvers, network: { rules, service }, log: (message) => { process.stderr.write(`${message}\n`) },
    ...(origins.length > 0 && { origins }), ...(token !== undefined && { token }), ...(clients !== undefined && { clients }),
  })
  process.stderr.write(`The relay is at ws://${host.includes(':') ? `[${host}]` : host}:${relay.port}/. Machines reach ${rules.length + service.length === 0 ? 'nothing: see --allow and --service' : 'what they are told to'}.\n`)
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => { resolve() })
  })
  await relay.close()
  return 0
}

function readToken(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (error) {
    throw fileError(error, '--token-file', path)
  }
}
