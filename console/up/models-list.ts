// `bramble models list` and what its siblings print: models, versions and how far the boards are, as text for a terminal.
import type { DesiredChange, ModelView } from '../routes/shapes.ts'

const MIB = 1024 * 1024
const size = (bytes: number): string =>
  bytes < MIB ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / MIB).toFixed(1)} MiB`

const versionLine = (model: ModelView, { version, release, boards, bytes }: ModelView['versions'][number]): string => {
  const from =
    release === undefined ? 'only in the folder' : `${release.publisher}${release.trusted ? '' : ' (revoked)'}`
  const mark = model.desired?.version === version ? '*' : ' '
  const served = boards === 1 ? '1 board' : `${boards} boards`
  return `  ${mark} ${version.padEnd(12)} ${from.padEnd(20)} ${size(release?.bytes ?? bytes).padStart(9)}  ${served}`
}

/** A star stands before the version that is set for the fleet. */
export function listText(models: readonly ModelView[]): string {
  if (models.length === 0)
    return 'There are no models here. Publish one: bramble models publish FOLDER --key FILE --publisher ID'
  return models
    .map((model) =>
      [
        `${model.id}  ${model.title}`,
        ...model.versions.map((one) => versionLine(model, one)),
        `    ${model.sentence}`,
      ].join('\n'),
    )
    .join('\n\n')
}

const named = (version: string | null): string => version ?? "the boards' own"

export function changeText({ model, device, before, after }: DesiredChange): string {
  const where = device === undefined ? 'the fleet' : device
  if (before === after) return `${model} on ${where}: ${named(after)}, as it was.`
  return `${model} on ${where}: ${named(before)} → ${named(after)}. The boards are told; see: bramble models list`
}
