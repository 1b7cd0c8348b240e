"""The SSD loss against torchvision's, the box code against its decoder, and what distillation must do."""

import torch
from torchvision.models.detection._utils import BoxCoder
from torchvision.ops import box_iou

from models.detector import Targets
from models.ssdlite.loss import BOX_WEIGHTS, SSDLoss, distillation, encode
from models.ssdlite.network import AnchorBoxes, anchor_grid, stock
from tests.support.ssd_cases import ANCHORS, random_targets


def test_encode_equals_torchvision_and_decode_inverts_it():
    boxes = random_targets(3, 1, 5).boxes[0]
    anchors = ANCHORS[torch.arange(0, 500, 100)]
    code = encode(boxes, anchors)
    assert torch.allclose(code, BoxCoder(BOX_WEIGHTS).encode_single(boxes, anchors), atol=1e-4)
    decode = AnchorBoxes(anchors, 160)
    assert torch.allclose(decode(code), boxes, atol=1e-5)
    some = torch.tensor([3, 1, 1])
    assert torch.equal(decode(code[some], some), decode(code)[some])


def test_equals_torchvision_loss():
    model = stock(outputs=4)
    anchors = anchor_grid(320, 320)
    targets = random_targets(11, 3, 5)
    targets.labels.clamp_(min=1)
    logits, deltas = torch.randn(3, len(anchors), 4), torch.randn(3, len(anchors), 4)
    (ours,) = SSDLoss(anchors)([(logits, deltas)], targets)

    listed = [{"boxes": boxes, "labels": labels} for boxes, labels in zip(targets.boxes, targets.labels, strict=True)]
    matched = [model.proposal_matcher(box_iou(boxes, anchors)) for boxes in targets.boxes]
    answer = {"cls_logits": logits, "bbox_regression": deltas}
    theirs = model.compute_loss(listed, answer, [anchors] * 3, matched)
    assert torch.allclose(ours["class"], theirs["classification"], rtol=1e-4)
    assert torch.allclose(ours["box"], theirs["bbox_regression"], rtol=1e-4)


def test_images_without_boxes_give_no_loss_but_a_gradient_path():
    logits = torch.randn(2, len(ANCHORS), 3, requires_grad=True)
    deltas = torch.randn(2, len(ANCHORS), 4, requires_grad=True)
    empty = Targets(torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.long), torch.zeros(2, 0, dtype=torch.bool))
    (losses,) = SSDLoss(ANCHORS)([(logits, deltas)], empty)
    total = sum(losses.values())
    assert total == 0
    total.backward()


def test_distillation_is_zero_only_for_the_same_answer_and_spares_the_teacher():
    student = (torch.randn(1, 50, 3, requires_grad=True), torch.randn(1, 50, 4, requires_grad=True))
    teacher = (torch.randn(1, 50, 3, requires_grad=True), torch.randn(1, 50, 4, requires_grad=True))
    assert sum(distillation(student, student).values()) < 1e-6
    loss = sum(distillation(student, teacher).values())
    assert loss > 0.01
    loss.backward()
    assert student[0].grad.abs().sum() > 0
    assert teacher[0].grad is None
