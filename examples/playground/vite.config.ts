import { defineConfig, type UserConfig } from 'vite'
import { guests } from './guests.ts'

/** None is needed; with them the page has shared memory, and finer clocks. */
const ISOLATED: Readonly<Record<string, string>> = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' }

const config: UserConfig = defineConfig({
  // What is built runs from any folder of a server.
  base: './',
  plugins: [guests()],
  server: { headers: ISOLATED },
  preview: { headers: ISOLATED },
  build: { target: 'es2022', chunkSizeWarningLimit: 2000, assetsInlineLimit: 0 },
})
export default config
