import { createServer, type Server } from 'node:http'
import { machinistError } from '@machinist/api'
import { type Hypervisor, type MachineReport, type MemoryMeans, type RemoteCall, RESOURCE_KINDS } from '@machinist/hypervisor'
import type { OpenMetricsContentType, PrometheusContentType, Registry, RegistryContentType } from 'prom-client'
import { PAGE, stateText } from '@machinist/hypervisor/text'

/** The media type of OpenMetrics text. */
export const OPENMETRICS: OpenMetricsContentType = 'application/openmetrics-text; version=1.0.0; charset=utf-8'
/** The media type of Prometheus' own, older text. */
export const PROMETHEUS: PrometheusContentType = 'text/plain; version=0.0.4; charset=utf-8'

/** Times of the host are nanoseconds, those of metrics seconds. */
const SECOND = 1e9
const MEANS: readonly (keyof MemoryMeans)[] = ['touched', 'own', 'shared', 'merged', 'ballooned', 'compressed', 'swapped']
const STATES = ['running', 'paused', 'off', 'failed'] as const

/** What machines count up, by the names of metrics. */
const COUNTERS: readonly (readonly [name: string, help: string, of: (machine: MachineReport) => number])[] = [
  ['cpu_used_seconds', 'CPU time that the machine ran', ({ cpu }) => cpu.used / SECOND],
  ['cpu_ready_seconds', 'Time for which the machine was ready and others ran', ({ cpu }) => cpu.ready / SECOND],
  ['cpu_held_seconds', 'Time for which the machine was held back, by its limit or to keep its harts together', ({ cpu }) => cpu.held / SECOND],
  ['instructions', 'Instructions that the harts of the machine retired', ({ retired }) => retired],
  ['disk_read_bytes', 'Bytes that the machine read from disks', ({ disk }) => disk.readBytes],
  ['disk_written_bytes', 'Bytes that the machine wrote to disks', ({ disk }) => disk.writtenBytes],
  ['disk_requests', 'Requests of the machine to disks', ({ disk }) => disk.requests],
  ['network_sent_bytes', 'Bytes that the machine sent', ({ network }) => network.sentBytes],
  ['network_received_bytes', 'Bytes that the machine received', ({ network }) => network.receivedBytes],
  ['network_frames', 'Frames that the machine sent and received', ({ network }) => network.frames],
]

/** What the allocation table has of a machine, a pool or the host. */
const ALLOTMENTS = [
  ['shares', 'Weight among its siblings'], ['reservation', 'What it gets before others'], ['limit', 'The most that it gets'], ['demand', 'What it would take if there were no others'],
  ['entitled', 'What is its due'], ['used', 'What it takes'], ['lacking', 'What it wants and is not given'],
] as const

/**
 * What machines, pools and the host use, as metrics. Nothing of it is kept, and nothing is in the registry of the whole process.
 *
 * @param type - the media type of the text: that of OpenMetrics unless given
 */
export async function metricsText(hypervisor: Hypervisor, type: RegistryContentType = OPENMETRICS): Promise<string> {
  // Loaded only where it is needed: programs that use other things start sooner.
  const prometheus = await import('prom-client')
  const { Counter, Gauge } = prometheus
  const [machines, table, { processors, capacity }] = await Promise.all([hypervisor.machines(), hypervisor.table(), hypervisor.host()])
  const registry = new prometheus.Registry<RegistryContentType>()
  registry.setContentType(type)
  const registers = [registry as Registry]
  const labels = ({ name, pool }: MachineReport): { machine: string; pool: string } => ({ machine: name, pool })
  for (const [name, help, of] of COUNTERS) {
    const counter = new Counter({ name: `machinist_machine_${name}_total`, help, labelNames: ['machine', 'pool'], registers })
    for (const machine of machines) counter.inc(labels(machine), of(machine))
  }
  const memory = new Gauge({ name: 'machinist_machine_memory_bytes', help: 'Memory of the machine, by means', labelNames: ['machine', 'pool', 'means'], registers })
  const state = new Gauge({ name: 'machinist_machine_state', help: '1 for what the machine is doing', labelNames: ['machine', 'pool', 'state'], registers })
  const place = new Gauge({ name: 'machinist_machine_processor', help: 'The processor on which the machine is', labelNames: ['machine', 'pool'], registers })
  for (const machine of machines) {
    for (const means of MEANS) memory.set({ ...labels(machine), means }, machine.memory[means] * PAGE)
    const now = stateText(machine).split(' ')[0]
    for (const each of STATES) state.set({ ...labels(machine), state: each }, now === each ? 1 : 0)
    if (machine.processor >= 0) place.set(labels(machine), machine.processor)
  }
  new Gauge({ name: 'machinist_processors', help: 'Threads in which machines live', registers }).set(processors)
  const whole = new Gauge({ name: 'machinist_capacity', help: 'What the host has to share out: processors, bytes, or bytes a second', labelNames: ['resource'], registers })
  for (const resource of RESOURCE_KINDS) if (capacity[resource] !== undefined) whole.set({ resource }, capacity[resource])
  for (const [name, help] of ALLOTMENTS) {
    const gauge = new Gauge({ name: `machinist_allocation_${name}`, help: `${help}, in processors, bytes, or bytes a second`, labelNames: ['kind', 'name', 'pool', 'resource'], registers })
    for (const { kind, name: of, pool, resources } of table.rows) for (const resource of RESOURCE_KINDS) {
      const value = resources[resource]?.[name]
      if (value !== undefined) gauge.set({ kind, name: of, pool, resource }, value ?? Infinity)
    }
  }
  return registry.metrics()
}

/**
 * Answers at `/metrics`: in OpenMetrics text, or in the older text of Prometheus where that alone is accepted.
 *
 * @param port - 0 for one that is free
 * @throws a typed error `'metrics-listen'`
 */
export function serveMetrics(hypervisor: Hypervisor, { host, port }: { readonly host: string; readonly port: number }): Promise<Server> {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    if (pathname !== '/metrics' || (request.method !== 'GET' && request.method !== 'HEAD')) {
      response.writeHead(pathname === '/metrics' ? 405 : 404, { 'content-type': 'text/plain' }).end('Metrics are at /metrics.\n')
      return
    }
    const accepted = request.headers.accept ?? ''
    const type = accepted === '' || accepted.includes('openmetrics') || accepted.includes('*/*') ? OPENMETRICS : PROMETHEUS
    metricsText(hypervisor, type).then(
      (text) => { response.writeHead(200, { 'content-type': type }).end(text) },
      (error: unknown) => { response.writeHead(503, { 'content-type': 'text/plain' }).end(`${error instanceof Error ? error.message : String(error)}\n`) },
    )
  })
  return new Promise((resolve, reject) => {
    server.on('error', (error: NodeJS.ErrnoException) => {
      reject(machinistError({ code: 'metrics-listen', part: '--listen', value: `${host}:${port}`, remedy: 'Choose another port or address.' }, error.code === 'EADDRINUSE' ? 'the port is taken' : error.message))
    })
    server.listen(port, host, () => { resolve(server) })
  })
}

/** Metrics of a hypervisor that answers by itself: at one address at a time. */
export function metricsCall(hypervisor: Hypervisor): { serve(listen: { readonly host: string; readonly port: number } | null): Promise<void>; readonly call: RemoteCall } {
  let server: Server | null = null
  const serve = async (listen: { readonly host: string; readonly port: number } | null): Promise<void> => {
    const before = server
    server = null
    if (before !== null) {
      before.closeAllConnections()
      await new Promise((resolve) => { before.close(resolve) })
    }
    if (listen === null) return
    server = await serveMetrics(hypervisor, listen)
    // It ends with the hypervisor.
    server.unref()
  }
  return {
    serve,
    call: async (listen) => {
      const { host, port } = (listen ?? {}) as { readonly host?: unknown; readonly port?: unknown }
      if (listen === null || listen === undefined) return serve(null)
      if (typeof host !== 'string' || typeof port !== 'number' || !Number.isInteger(port) || port < 0 || port > 65535) throw machinistError({ code: 'parameter', part: 'metrics', remedy: 'Give a host and a port.' }, 'no address')
      return serve({ host, port })
    },
  }
}
