/**
 * `npm run metadata`: writes what the root's package.json says of the project into every package. With `-- --repository URL` the
 * repository is that one from now on.
 */
import { setRepository, writeMetadata } from './lib/metadata.mjs'
import { script } from './lib/say.mjs'
import { parseArgs } from 'node:util'

await script(async () => {
  const { values } = parseArgs({ options: { repository: { type: 'string' } } })
  if (values.repository !== undefined) setRepository(values.repository)
  writeMetadata()
  return 0
})
