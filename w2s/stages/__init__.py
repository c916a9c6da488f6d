"""The stages: frozen values whose inputs are their fields. Equal work has an equal key, whoever asks for it.

Rows, Train, Predict, Combine and Grade carry most methods. Embed and Probe stand in for Train where a frozen model's hidden
states are computed once and only a head is trained on them. Write, Generate and GradeAnswers stand in for Train, Predict and
Grade where a task's answers are texts to be written. Nothing here imports torch or ray.
"""

from w2s.stages.answers import Answers as Answers
from w2s.stages.answers import Generate as Generate
from w2s.stages.base import Stage as Stage
from w2s.stages.base import Value as Value
from w2s.stages.base import reached as reached
from w2s.stages.base import walk as walk
from w2s.stages.boosting import Boosted as Boosted
from w2s.stages.boosting import Reweighted as Reweighted
from w2s.stages.boosting import Vote as Vote
from w2s.stages.choice import Selected as Selected
from w2s.stages.crowds import Calibrated as Calibrated
from w2s.stages.crowds import Crowd as Crowd
from w2s.stages.labels import Chosen as Chosen
from w2s.stages.labels import Combine as Combine
from w2s.stages.labels import Corrupt as Corrupt
from w2s.stages.labels import Filter as Filter
from w2s.stages.labels import Given as Given
from w2s.stages.labels import HowCombined as HowCombined
from w2s.stages.labels import HowFiltered as HowFiltered
from w2s.stages.labels import HowRelabelled as HowRelabelled
from w2s.stages.labels import Labels as Labels
from w2s.stages.labels import Predict as Predict
from w2s.stages.labels import Prompted as Prompted
from w2s.stages.labels import Relabel as Relabel
from w2s.stages.labels import Structure as Structure
from w2s.stages.labels import TopoFilter as TopoFilter
from w2s.stages.models import Adapt as Adapt
from w2s.stages.models import Embed as Embed
from w2s.stages.models import Leg as Leg
from w2s.stages.models import Model as Model
from w2s.stages.models import Probe as Probe
from w2s.stages.models import Train as Train
from w2s.stages.models import Write as Write
from w2s.stages.outcome import Grade as Grade
from w2s.stages.outcome import GradeAnswers as GradeAnswers
from w2s.stages.outcome import Outcome as Outcome
from w2s.stages.parts import Part as Part
from w2s.stages.parts import PartName as PartName
from w2s.stages.parts import Piece as Piece
from w2s.stages.parts import Rows as Rows
from w2s.stages.parts import Split as Split
from w2s.stages.reliable import HowReliable as HowReliable
from w2s.stages.reliable import Reliable as Reliable
from w2s.stages.selective import Gate as Gate
from w2s.stages.selective import HowGated as HowGated
from w2s.stages.selective import Knows as Knows
from w2s.stages.selective import Rule as Rule
from w2s.stages.selective import Smooth as Smooth
from w2s.stages.specialists import Assigned as Assigned
from w2s.stages.specialists import Clusters as Clusters
from w2s.stages.specialists import Denoised as Denoised
from w2s.stages.specialists import HowAssigned as HowAssigned
from w2s.stages.truth import Joined as Joined
from w2s.stages.truth import Sample as Sample
from w2s.stages.truth import Truth as Truth
from w2s.stages.truth import knows_truth as knows_truth
