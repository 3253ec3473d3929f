"""The BarcodeMAE model family, registered with the Auto classes of `transformers`."""

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from .baselines_barcodemae import BarcodeMAEForCausalPreTraining, BarcodeMAEForMaskedTokenPreTraining
from .configuration_barcodemae import SIZES, BarcodeMAEConfig
from .modeling_barcodemae import (
    BarcodeMAEForMaskedLM,
    BarcodeMAEForPreTraining,
    BarcodeMAEForPreTrainingOutput,
    BarcodeMAEForSequenceClassification,
    BarcodeMAEForTokenClassification,
    BarcodeMAEModel,
)

AutoConfig.register(BarcodeMAEConfig.model_type, BarcodeMAEConfig)
BarcodeMAEConfig.register_for_auto_class()
for _auto_class, _model_class in (
    (AutoModel, BarcodeMAEModel),
    (AutoModelForPreTraining, BarcodeMAEForPreTraining),
    (AutoModelForMaskedLM, BarcodeMAEForMaskedLM),
    (AutoModelForSequenceClassification, BarcodeMAEForSequenceClassification),
    (AutoModelForTokenClassification, BarcodeMAEForTokenClassification),
):
    _auto_class.register(BarcodeMAEConfig, _model_class)
    # Makes `save_pretrained` copy the code of the model beside the weights.
    _model_class.register_for_auto_class(_auto_class)
for _baseline in (BarcodeMAEForMaskedTokenPreTraining, BarcodeMAEForCausalPreTraining):
    _baseline.register_for_auto_class(AutoModelForPreTraining)

__all__ = [
    "SIZES",
    "BarcodeMAEConfig",
    "BarcodeMAEForCausalPreTraining",
    "BarcodeMAEForMaskedLM",
    "BarcodeMAEForMaskedTokenPreTraining",
    "BarcodeMAEForPreTraining",
    "BarcodeMAEForPreTrainingOutput",
    "BarcodeMAEForSequenceClassification",
    "BarcodeMAEForTokenClassification",
    "BarcodeMAEModel",
]
