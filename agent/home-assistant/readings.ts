// How Home Assistant reads an answer (Jinja templates): its state in one word or number, the rest as attributes.
import type { Prediction } from '../../broker/protocol/messages.ts'

export type ModelTask = Prediction['kind']

/** An error answer (`busy`, `bad-frame`…) changes no state; its code stands among the attributes. */
const word = (template: string): string => `{{ ${template} if value_json.result is defined else this.state }}`
/** A sensor with a unit or a state class passes over what is empty. */
const number = (template: string): string => `{{ ${template} if value_json.result is defined else '' }}`

const attributes = (template: string): string =>
  `{{ (${template} if value_json.result is defined else dict(error=value_json.error.code)) | tojson }}`

interface Reading {
  readonly val_tpl: string
  readonly json_attr_tpl: string
  readonly [more: string]: string
}

export const MODEL_READINGS: Readonly<Record<ModelTask, Reading>> = {
  classification: {
    val_tpl: word("((value_json.result.labels | first) | default(dict(label='nothing'))).label"),
    json_attr_tpl: attributes('dict(labels=value_json.result.labels, model=value_json.model)'),
    ic: 'mdi:label',
  },
  detection: {
    val_tpl: number('(value_json.result.objects | count)'),
    json_attr_tpl: attributes('dict(objects=value_json.result.objects, model=value_json.model)'),
    unit_of_meas: 'objects',
    stat_cla: 'measurement',
    ic: 'mdi:cube-scan',
  },
  audio: {
    val_tpl: word("((value_json.result.segments | first) | default(dict(label='nothing'))).label"),
    json_attr_tpl: attributes('dict(segments=value_json.result.segments, model=value_json.model)'),
    ic: 'mdi:waveform',
  },
  series: {
    val_tpl: number('value_json.result.score'),
    json_attr_tpl: attributes(
      'dict(anomaly=value_json.result.anomaly, threshold=value_json.result.threshold, model=value_json.model)',
    ),
    stat_cla: 'measurement',
    ic: 'mdi:chart-line',
  },
  /** Numbers that only their owner understands: the state says when they came. */
  tensor: {
    val_tpl: '{{ value_json.at }}',
    json_attr_tpl: attributes('dict(model=value_json.model)'),
    dev_cla: 'timestamp',
  },
}
