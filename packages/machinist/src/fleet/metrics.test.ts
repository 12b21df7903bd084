import { register } from 'prom-client'
import { afterAll, describe, expect, it } from 'vitest'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fakeHypervisor, SPEC, type FakeHypervisor } from '../../test/fleet/fake-hypervisor.ts'
import { metricsCall, metricsText, OPENMETRICS, serveMetrics } from './metrics.ts'

const servers: Server[] = []
afterAll(() => { for (const server of servers) server.close() })

async function fleet(): Promise<FakeHypervisor> {
  const hypervisor = fakeHypervisor()
  await hypervisor.addPool({ path: 'night' })
  await hypervisor.add({ name: 'web-1', machine: SPEC, pool: 'night' })
  await hypervisor.start('web-1')
  hypervisor.report('web-1', { cpu: { used: 1.5e9, ready: 0.25e9, held: 0 }, retired: 7, memory: { touched: 2, own: 1, shared: 0, merged: 0, ballooned: 0, compressed: 0, swapped: 3 } })
  return hypervisor
}

/** Of each metric its type, and its samples by name and labels. What is not OpenMetrics is refused. */
function parse(text: string): { readonly types: Map<string, string>; readonly samples: Map<string, number> } {
  expect(text.endsWith('\n# EOF\n')).toBe(true)
  const types = new Map<string, string>()
  const samples = new Map<string, number>()
  for (const line of text.split('\n').slice(0, -2)) {
    const about = /^# (TYPE|HELP) ([a-z_]+) (.+)$/.exec(line)
    if (about !== null) {
      if (about[1] === 'TYPE') types.set(about[2] ?? '', about[3] ?? '')
      continue
    }
    const [, name = '', labels = '', value = ''] = /^([a-z_]+)(\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})? (-?[0-9.e+-]+|\+Inf|NaN)$/.exec(line) ?? []
    expect(name, line).not.toBe('')
    // A counter's samples have the suffix that its own name has not (OpenMetrics 1.0, 5.1.2).
    const family = types.get(name) === 'gauge' ? name : name.replace(/_total$/, '')
    expect(types.get(family), line).toBe(name === family ? 'gauge' : 'counter')
    samples.set(`${name}${labels}`, value === '+Inf' ? Infinity : Number(value))
  }
  return { types, samples }
}

describe('metrics', () => {
  it('are OpenMetrics text, with seconds and bytes', async () => {
    const { samples } = parse(await metricsText(await fleet()))
    expect(samples.get('machinist_machine_cpu_used_seconds_total{machine="web-1",pool="night"}')).toBe(1.5)
    expect(samples.get('machinist_machine_instructions_total{machine="web-1",pool="night"}')).toBe(7)
    expect(samples.get('machinist_machine_memory_bytes{machine="web-1",pool="night",means="swapped"}')).toBe(12288)
    expect(samples.get('machinist_machine_state{machine="web-1",pool="night",state="running"}')).toBe(1)
    expect(samples.get('machinist_machine_state{machine="web-1",pool="night",state="off"}')).toBe(0)
    expect(samples.get('machinist_allocation_entitled{kind="pool",name="night",pool="",resource="cpu"}')).toBe(0.75)
    expect(samples.get('machinist_allocation_limit{kind="machine",name="web-1",pool="night",resource="memory"}')).toBe(Infinity)
    expect(samples.get('machinist_capacity{resource="memory"}')).toBe(2 ** 30)
    expect(samples.get('machinist_processors')).toBe(2)
  })
  it('are the same twice, and not in the registry of the process', async () => {
    const hypervisor = await fleet()
    expect(await metricsText(hypervisor)).toBe(await metricsText(hypervisor))
    expect(register.getMetricsAsArray()).toEqual([])
  })
  it('are answered over HTTP, in the form that is accepted', async () => {
    const hypervisor = await fleet()
    const server = await serveMetrics(hypervisor, { host: '127.0.0.1', port: 0 })
    servers.push(server)
    const { port } = server.address() as AddressInfo
    const url = `http://127.0.0.1:${port}/metrics`
    const open = await fetch(url)
    expect([open.status, open.headers.get('content-type')]).toEqual([200, OPENMETRICS])
    parse(await open.text())
    const old = await fetch(url, { headers: { accept: 'text/plain' } })
    expect(old.headers.get('content-type')).toMatch(/^text\/plain; version=0.0.4/)
    expect(await old.text()).toContain('# TYPE machinist_machine_cpu_used_seconds_total counter')
    expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(404)
    expect((await fetch(url, { method: 'POST' })).status).toBe(405)
    await expect(serveMetrics(hypervisor, { host: '127.0.0.1', port })).rejects.toMatchObject({ code: 'metrics-listen', part: '--listen' })
  })

  it('are answered by the hypervisor itself, at one address at a time, until it is told otherwise', async () => {
    const { serve, call } = metricsCall(await fleet())
    const free = await serveMetrics(await fleet(), { host: '127.0.0.1', port: 0 })
    const { port } = free.address() as AddressInfo
    servers.push(free)
    await expect(call({ host: '127.0.0.1', port })).rejects.toMatchObject({ code: 'metrics-listen' })
    for (const wrong of [7, {}, { host: 'x' }, { host: '127.0.0.1', port: 65536 }]) await expect(call(wrong), JSON.stringify(wrong)).rejects.toMatchObject({ code: 'parameter' })
    free.closeAllConnections()
    await new Promise((resolve) => { free.close(resolve) })
    const url = `http://127.0.0.1:${port}/metrics`
    for (let round = 0; round < 2; round++) {
      await call({ host: '127.0.0.1', port })
      expect((await fetch(url, { headers: { connection: 'close' } })).status).toBe(200)
    }
    await serve(null)
    await expect(fetch(url)).rejects.toThrow()
  })
})
