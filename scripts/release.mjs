/**
 * `npm run release`: builds every package, and publishes those whose version the registry does not have yet. Versions are made before, by
 * `npm run version`, from the files in .changeset. It is what .github/workflows/release.yml runs.
 */
import { hasRepository, repositoryPage } from './lib/metadata.mjs'
import { Unmet, script } from './lib/say.mjs'
import { checkNode, ensureDependencies, pnpm } from './lib/workspace.mjs'

await script(async () => {
  checkNode()
  if (!hasRepository()) {
    throw new Unmet(`the packages name ${repositoryPage()} as their repository, which is no place: run npm run metadata -- --repository https://HOST/OWNER/NAME first.`)
  }
  await ensureDependencies()
  const built = await pnpm(['exec', 'turbo', 'run', 'build', '--output-logs=errors-only'])
  return built === 0 ? pnpm(['exec', 'changeset', 'publish']) : built
})
